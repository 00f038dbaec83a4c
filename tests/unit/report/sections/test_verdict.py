"""reefline/report/sections/verdict.py: the verdict, its reason, and the gate's rules against the baseline."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reefline.evaluation.report import EvaluationReport, GateResult
from reefline.report.sections.verdict import gather_verdict, list_rules, make_verdict_section
from reefline.report.summary import Failure, RunRecords, Verdict
from tests.factories_evaluation import make_metrics, make_scores
from tests.factories_report import make_evaluation, make_records


def test_a_blessed_run_tells_what_was_pushed() -> None:
    facts = gather_verdict(make_records(Verdict.BLESSED))
    assert facts.reason == "All 5 rules passed. Version 4 was pushed to workspace/serving/demo/4."
    assert (facts.verdict, facts.baseline_version, facts.problems, facts.advice) == (Verdict.BLESSED, 3, (), "")


def test_a_refused_run_names_the_failed_rules() -> None:
    facts = gather_verdict(make_records(Verdict.NOT_BLESSED))
    assert facts.reason == (
        "2 of 5 rules failed: mAP 0.3100 is below 0.4000; mAP 0.3100 of the shipped int8 model against 0.5300 of the "
        "float model: a drop of 0.2200. Nothing was pushed."
    )
    assert [row.rule for row in facts.rows if not row.passed] == ["min_map", "max_quantization_drop"]


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        pytest.param("a.xml: xmax is missing\nb.xml: empty", "Fix what the message names", id="user-error"),
        pytest.param("stopped by Ctrl-C", "Run the same command to resume", id="interrupted"),
        pytest.param("stopped without leaving a report, as", "Run the same command to resume", id="killed"),
        pytest.param("unexpected KeyError: 'x' (traceback: error.log)", "may be a bug in Reefline", id="unexpected"),
    ],
)
def test_a_failed_run_tells_where_and_what_to_do(message: str, advice: str) -> None:
    facts = gather_verdict(RunRecords("1", "m", Failure("VocExampleGen", message)))
    assert facts.reason == "The run stopped in VocExampleGen. Nothing was pushed."
    assert facts.problems == tuple(message.splitlines())
    assert advice in facts.advice


def test_a_run_that_ended_without_a_verdict_is_explained() -> None:
    facts = gather_verdict(RunRecords("1", "m"))
    assert facts.verdict is Verdict.FAILED
    assert facts.reason == "The run ended without a pushed model, and without an error that explains it."
    assert facts.advice == "Run the same command again. Finished components are not repeated."


def test_rules_are_compared_with_the_baseline() -> None:
    rows = {row.rule: row for row in list_rules(make_evaluation(blessed=False))}
    compared = {rule: (row.value, row.threshold, row.baseline, row.difference) for rule, row in rows.items()}
    assert compared == {
        "min_map": ("0.3100", "0.4000", "0.4700", "−0.1600"),
        "min_class_ap": ("0.3100", "0.3000", "0.3100", "+0.0000"),
        "max_quantization_drop": ("0.2200", "0.0500", "–", "–"),
        "max_regression": ("0.1600", "0.2000", "0.4700", "−0.1600"),
        "min_edgetpu_ops": ("97.0 %", "90.0 %", "–", "–"),
    }
    assert rows["min_map"].words == "mAP is at least"


def test_unknown_numbers_are_dashes() -> None:
    gate = (
        GateResult("min_map_50", None, 0.5, False, "unknown"),
        GateResult("edgetpu_compiled", 0.0, 1.0, False, "not compiled"),
        GateResult("a_new_rule", 0.25, 0.5, True, "new"),
    )
    scores = make_scores(make_metrics(None), baseline=make_metrics(0.5), baseline_version=1)
    rows = list_rules(EvaluationReport(scores, gate))
    assert [(row.words, row.value, row.threshold, row.baseline, row.difference) for row in rows] == [
        ("mAP at IoU 0.50 is at least", "–", "0.5000", "0.5000", "–"),
        ("The model is compiled for the Edge TPU", "no", "yes", "–", "–"),
        ("a_new_rule", "0.2500", "0.5000", "–", "–"),
    ]


@pytest.mark.parametrize(
    ("verdict", "shown"),
    [
        pytest.param(Verdict.BLESSED, ("✓</span> BLESSED", "✓ passed", "version 3, which was serving"), id="blessed"),
        pytest.param(Verdict.NOT_BLESSED, ("✗</span> NOT BLESSED", "✗ failed", "✓ passed"), id="refused"),
        pytest.param(Verdict.FAILED, ("!</span> FAILED", "Error in Trainer", "What to do:"), id="failed"),
    ],
)
def test_the_section_shows_the_verdict_in_words_and_symbols(verdict: Verdict, shown: tuple[str, ...]) -> None:
    section = make_verdict_section(make_records(verdict))
    assert (section.id, section.title) == ("verdict", "Verdict")
    for text in shown:
        assert text in section.html


def test_many_problems_are_folded_and_escaped() -> None:
    message = "\n".join(f"<b>{number}.xml: broken" for number in range(50))
    html = make_verdict_section(RunRecords("1", "m", Failure("VocExampleGen", message))).html
    assert "<summary>30 more</summary>" in html
    assert "&lt;b&gt;49.xml: broken" in html and "<b>" not in html


def test_without_a_baseline_the_table_tells_so() -> None:
    records = make_records(Verdict.BLESSED)
    first = replace(records, evaluation=EvaluationReport(make_scores(), make_evaluation().gate))
    html = make_verdict_section(first).html
    assert "No baseline: no version was serving." in html
