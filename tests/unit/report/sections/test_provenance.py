from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from reefline.config.overrides import parse_override
from reefline.config.run_config import CONFIG_DIR, RunConfig, load_config
from reefline.lineage.records import ExecutionState, Maker, RunRecord
from reefline.report.environment import Environment
from reefline.report.reviewed_run import ReviewedRun
from reefline.report.sections.model_card import make_card, read_card
from reefline.report.sections.provenance import (
    describe_config,
    find_fingerprint,
    list_durations,
    list_lineage,
    make_provenance_section,
)
from reefline.report.summary import RunRecords, Verdict
from tests.factories_lineage import make_artifact, make_execution, make_run
from tests.factories_report import HOSTILE_NAMES, make_records

WORKSPACE = Path("/data/ws")
ENVIRONMENT = Environment("c0ffee", True, "3.10.13", "Linux-6.1", "x86_64", 2, {"tensorflow": "2.16.2"})


def _config(*overrides: str) -> RunConfig:
    return load_config(CONFIG_DIR / "demo.yaml", [parse_override(text) for text in overrides])


def _rerun() -> RunRecord:
    """Return a run that found its data in the cache and trained anew."""
    images = make_artifact(
        WORKSPACE / "artifacts/VocExampleGen/examples/1",
        {"input_fingerprint": "fed" * 20},
        type="Examples",
        maker=Maker(1, "VocExampleGen", "earlier"),
    )
    maker = Maker(9, "Pusher", "20260301T120000")
    bundle = make_artifact("/data/ws/9", {"path": "s3://serving/demo/4"}, type="PushedModel", maker=maker)
    labels = make_artifact("/elsewhere/labels")
    return make_run(
        make_execution("VocExampleGen", ExecutionState.CACHED, outputs={"labels": labels, "examples": images}),
        make_execution("Trainer", ExecutionState.FAILED),
        make_execution("Pusher", inputs={"labels": labels, "examples": images}, outputs={"pushed_model": bundle}),
    )


def test_lineage_names_the_run_that_made_each_artifact() -> None:
    bundle, images, labels = list_lineage(_rerun(), WORKSPACE)
    assert (bundle.output, bundle.place, bundle.is_reused) == ("Pusher.pushed_model", "s3://serving/demo/4", False)
    assert (labels.place, labels.execution_id, labels.is_reused) == ("/elsewhere/labels", None, False)
    assert (images.output, images.type, images.place) == (
        "VocExampleGen.examples",
        "Examples",
        "artifacts/VocExampleGen/examples/1",
    )
    assert (images.execution_id, images.run_id, images.is_reused) == (1, "earlier", True)
    assert find_fingerprint(_rerun()) == "fed" * 20
    assert find_fingerprint(make_run()) == find_fingerprint(None) == ""


def test_durations_are_bars_relative_to_the_longest() -> None:
    records = RunRecords("1", "m", seconds={"VocExampleGen": 0.5, "Trainer": 200.0, "StatisticsGen": 50.0})
    rows = list_durations(records, _rerun())
    assert [(row.component, row.text, row.share) for row in rows] == [
        ("VocExampleGen", "0.5 s", 0.2),
        ("Trainer", "0:03:20", 100.0),
        ("StatisticsGen", "50.0 s", 25.0),
    ]
    # StatisticsGen failed before ML Metadata knew of it.
    assert [row.state.value for row in rows] == ["cached", "failed", "failed"]
    assert list_durations(RunRecords("1", "m"), None) == ()


def test_the_effective_config_is_yaml_that_loads_again(tmp_path: Path) -> None:
    config = _config("trainer.num_steps=7", "model_card.owner='yes: me'")
    (tmp_path / "config.yaml").write_text(describe_config(config.to_json()), encoding="utf-8")
    assert load_config(tmp_path / "config.yaml") == config
    assert describe_config("") == ""


def test_the_card_has_the_configs_text_and_admits_what_it_does_not_say() -> None:
    records = make_records()
    card = {entry.title: entry for entry in make_card(_config("model_card.intended_use=Counts cats."), records)}
    assert (card["Intended use"].text, card["Intended use"].is_stated) == ("Counts cats.", True)
    assert card["Out of scope"].text.startswith("Not stated. ") and not card["Out of scope"].is_stated
    assert card["Limitations"].text == "Not stated. The metrics come from 8 images of the eval split."
    assert card["Owner"].text == card["Licence of the model"].text == "Not stated."
    assert "Notes" not in card
    assert card["Data"].text.startswith("16 images (train 8, eval 8); boxes: cat 20, dog 20. ")
    assert card["Metrics"].text == (
        "Shipped model (int8): mAP 0.520, mAP at IoU 0.50 0.520. Before conversion: mAP 0.530, mAP at IoU 0.50 0.530."
    )
    assert card["Confidence thresholds"].text == "None was suggested."
    assert card["Thresholds of the gate"].text.startswith("min_map 0.25, max_quantization_drop 0.05")


@pytest.mark.parametrize(
    ("demanded", "has_rule"), [pytest.param("true", True, id="demanded"), pytest.param("false", False, id="off")]
)
def test_the_card_names_a_rule_that_has_no_threshold(demanded: str, has_rule: bool) -> None:
    config = _config(f"gate.edgetpu_compiled={demanded}", "gate.max_regression=0.0")
    card = {entry.title: entry.text for entry in make_card(config, make_records())}
    rules = card["Thresholds of the gate"].split(", ")
    assert ("edgetpu_compiled" in rules) == has_rule
    assert "max_regression 0.0" in rules and not any(rule.startswith("edgetpu_compiled ") for rule in rules)


def test_the_card_has_the_confidence_thresholds_of_the_bundle() -> None:
    records = make_records()
    assert records.evaluation is not None
    evaluation = dataclasses.replace(records.evaluation, thresholds={"cat": 0.375, "dog": None})
    card = make_card(_config(), dataclasses.replace(records, evaluation=evaluation))
    assert "cat 0.38: the best F1 on the eval split." in [entry.text for entry in card]


def test_the_card_of_a_run_that_stopped_early() -> None:
    card = {entry.title: entry.text for entry in make_card(_config(), RunRecords("1", "m"))}
    assert card["Intended use"] == card["Limitations"] == "Not stated."
    assert card["Data"] == "None: ingestion did not finish."
    assert card["Metrics"] == "None: the model was not evaluated."
    assert read_card("", RunRecords("1", "m")) == ()


@pytest.mark.parametrize(
    ("overrides", "licence"),
    [
        pytest.param((), "None applies: training started from new weights.", id="scratch"),
        pytest.param(
            ("trainer.model=ssd_mobilenet_v2_320", "trainer.start=published"),
            "Apache-2.0; the weights know ImageNet (backbone only).",
            id="published",
        ),
        pytest.param(
            ("trainer.start=https://example.org/a.tgz",),
            "Unknown to Reefline: training started from https://example.org/a.tgz.",
            id="url",
        ),
        pytest.param(
            ("trainer.start=serving",), "That of the serving model; the first run started from scratch.", id="serving"
        ),
    ],
)
def test_the_licence_of_the_start_weights(overrides: tuple[str, ...], licence: str) -> None:
    card = {entry.title: entry.text for entry in make_card(_config(*overrides), make_records())}
    assert card["Licence of the start weights"] == licence


def test_a_template_that_is_gone_costs_only_the_card() -> None:
    record = {**json.loads(_config().to_json())}
    record["trainer"]["model"] = "gone"
    assert read_card(json.dumps(record), make_records()) == ()


def test_the_section_shows_it_all() -> None:
    html = make_provenance_section(
        ReviewedRun(make_records(), WORKSPACE, ENVIRONMENT, _config().to_json(), run=_rerun())
    ).html
    for shown in ("c0ffee", "with uncommitted changes", "tensorflow 2.16.2", "2 cores", "num_steps: 300", "fed" * 20):
        assert shown in html
    assert html.count('<span class="badge">cached</span>') == 2  # a duration and an artifact
    assert "style=" not in html


def test_a_run_that_never_began_has_a_section() -> None:
    section = make_provenance_section(ReviewedRun(RunRecords("1", ""), WORKSPACE, Environment()))
    assert section.id == "provenance"
    assert "No component ran." in section.html and "Unknown: not run from a checkout." in section.html


def test_no_name_becomes_html() -> None:
    records = make_records(Verdict.NOT_BLESSED, names=HOSTILE_NAMES)
    config = _config().model_copy(
        update={"model_card": _config().model_card.model_copy(update={"notes": HOSTILE_NAMES[0]})}
    )
    artifact = make_artifact(f"/{HOSTILE_NAMES[1]}", {"input_fingerprint": HOSTILE_NAMES[0]})
    run = make_run(make_execution("VocExampleGen", outputs={"examples": artifact}), run_id=HOSTILE_NAMES[2])
    environment = dataclasses.replace(ENVIRONMENT, commit=HOSTILE_NAMES[2], packages={HOSTILE_NAMES[1]: "1"})
    html = make_provenance_section(ReviewedRun(records, WORKSPACE, environment, config.to_json(), run=run)).html
    assert "<script" not in html and "<img" not in html and "onload=window" not in html.replace("&lt;svg onload", "")
