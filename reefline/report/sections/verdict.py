"""The section that comes first: how the run ended, why, and the gate's answer rule by rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from reefline.evaluation.report import EvaluationReport, GateResult
from reefline.evaluation.scores import CocoMetrics
from reefline.report.rule_numbers import read_compared
from reefline.report.section import Section, render
from reefline.report.summary import RunRecords, Verdict, decide_verdict

_NONE = "–"


@dataclass(frozen=True)
class RuleRow:
    """One rule as the table shows it; numbers are text, "–" where there is none.

    `baseline` is what the serving model has for the number that the rule is about, `difference` the candidate's
    number minus that.
    """

    rule: str
    words: str
    value: str
    threshold: str
    baseline: str
    difference: str
    passed: bool
    reason: str


@dataclass(frozen=True)
class VerdictFacts:
    """How a run ended: `reason` is one sentence; `problems` and `advice` are for a run that failed."""

    verdict: Verdict
    reason: str
    rows: tuple[RuleRow, ...]
    baseline_version: int
    component: str
    problems: tuple[str, ...]
    advice: str


def make_verdict_section(records: RunRecords) -> Section:
    """Return the section of any run, also of one that stopped before the gate."""
    return Section("verdict", "Verdict", render("verdict.html", facts=gather_verdict(records)))


def gather_verdict(records: RunRecords) -> VerdictFacts:
    """Return what the section shows."""
    verdict = decide_verdict(records)
    rows = list_rules(records.evaluation) if records.evaluation else ()
    failure = records.failure
    problems = tuple(filter(None, failure.message.splitlines())) if failure else ()
    return VerdictFacts(
        verdict=verdict,
        reason=_explain(verdict, records, rows),
        rows=rows,
        baseline_version=records.evaluation.scores.baseline_version if records.evaluation else 0,
        component=failure.component if failure else "",
        problems=problems,
        advice=_advise(problems) if verdict is Verdict.FAILED else "",
    )


def list_rules(evaluation: EvaluationReport) -> tuple[RuleRow, ...]:
    """Return one row per rule that the gate applied, in its order."""
    scores = evaluation.scores
    return tuple(_describe_rule(result, scores.shipped, scores.baseline) for result in evaluation.gate)


def _describe_rule(result: GateResult, shipped: CocoMetrics | None, baseline: CocoMetrics | None) -> RuleRow:
    words, show = _WORDS.get(result.rule, (result.rule, _as_number))
    before, after = read_compared(result.rule, baseline), read_compared(result.rule, shipped)
    return RuleRow(
        rule=result.rule,
        words=words,
        value=_NONE if result.value is None else show(result.value),
        threshold=show(result.threshold),
        baseline=_NONE if before is None else _as_number(before),
        difference=_NONE if before is None or after is None else _as_difference(after - before),
        passed=result.passed,
        reason=result.reason,
    )


def _explain(verdict: Verdict, records: RunRecords, rows: tuple[RuleRow, ...]) -> str:
    failed = [row for row in rows if not row.passed]
    if records.failure is not None:
        where = f" in {records.failure.component}" if records.failure.component else ""
        return f"The run stopped{where}. Nothing was pushed." if records.pushed is None else f"The run stopped{where}."
    if verdict is Verdict.FAILED:
        return "The run ended without a pushed model, and without an error that explains it."
    if verdict is Verdict.NOT_BLESSED:
        reasons = f": {'; '.join(row.reason for row in failed)}" if failed else ""
        return f"{_count(len(failed))} of {_count(len(rows), 'rule')} failed{reasons}. Nothing was pushed."
    pushed = f" Version {records.pushed.version} was pushed to {records.pushed.path}." if records.pushed else ""
    passed = f"{'The rule' if len(rows) == 1 else f'All {len(rows)} rules'} passed." if rows else "No rule is set."
    return passed + pushed


def _advise(problems: tuple[str, ...]) -> str:
    if not problems:
        return "Run the same command again. Finished components are not repeated."
    if any(problem.startswith("stopped by ") for problem in problems):
        return "Run the same command to resume. Finished components are not repeated."
    if any(problem.startswith("unexpected ") for problem in problems):
        return "This error is unexpected: it may be a bug in Reefline. The traceback is in error.log next to this page."
    return "Fix what the message names, then run the same command. Finished components are not repeated."


def _count(number: int, noun: str = "") -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}" if noun else f"{number}"


def _as_number(value: float) -> str:
    return f"{value:.4f}".replace("-", "\N{MINUS SIGN}")


def _as_difference(value: float) -> str:
    return f"{value:+.4f}".replace("-", "\N{MINUS SIGN}")


def _as_percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _as_yes(value: float) -> str:
    return "yes" if value else "no"


# A rule's name, what it demands, and how its numbers are written.
_WORDS: Mapping[str, tuple[str, Callable[[float], str]]] = {
    "min_map": ("mAP is at least", _as_number),
    "min_map_50": ("mAP at IoU 0.50 is at least", _as_number),
    "min_class_ap": ("AP of the worst class is at least", _as_number),
    "max_quantization_drop": ("mAP lost to quantization is at most", _as_number),
    "max_regression": ("mAP lost against the serving model is at most", _as_number),
    "min_improvement": ("mAP gained over the serving model is at least", _as_number),
    "min_edgetpu_ops": ("Share of operators on the Edge TPU is at least", _as_percent),
    "edgetpu_compiled": ("The model is compiled for the Edge TPU", _as_yes),
}
