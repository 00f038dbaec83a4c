"""reefline/report/summary.py: summary.json as DESIGN.md 3.4 defines it, complete and in parts."""

from __future__ import annotations

import json

import pytest

from reefline.data.reports import Anomaly, SplitCounts
from reefline.edgetpu.record import EdgeTpuRecord, PlacementSource
from reefline.evaluation.report import EvaluationReport, GateResult
from reefline.evaluation.scores import ClassMetrics, CocoMetrics
from reefline.findings import Action, Finding
from reefline.report.summary import Failure, MetricsSummary, Pushed, RunRecords, Verdict, decide_verdict, summarize
from reefline.training.report import StopReason, TrainingReport
from tests.factories_evaluation import make_scores

PUSHED = Pushed(version=3, path="serving/m/3")


FIELDS = "map map_50 map_75 map_small map_medium map_large ar_1 ar_10 ar_100 ar_small ar_medium ar_large"
KEYS = "mAP mAP_50 mAP_75 mAP_small mAP_medium mAP_large AR_1 AR_10 AR_100 AR_small AR_medium AR_large"


def _metrics(value: float | None) -> CocoMetrics:
    return CocoMetrics(**dict.fromkeys(FIELDS.split(), value), per_class={"RBC": ClassMetrics(value, value, 4)})


def _metrics_json(value: float | None) -> dict[str, object]:
    return {**dict.fromkeys(KEYS.split(), value), "per_class": {"RBC": {"ap": value, "ap_50": value, "groundtruth": 4}}}


def _complete_run() -> RunRecords:
    return RunRecords(
        run_id="20260102T120000",
        model="cells",
        splits={"train": SplitCounts(8, 20, {"RBC": 20}), "eval": SplitCounts(2, 4, {"RBC": 4})},
        findings=(Finding("a.xml", 1, "box_degenerate", "xmin 5, xmax 5", Action.DROPPED_BOX),),
        anomalies=(Anomaly("eval", "image/width", "out of range"),),
        training=TrainingReport(100, 80, StopReason.EARLY_STOPPING, 12.5, ()),
        evaluation=EvaluationReport(
            scores=make_scores(_metrics(0.4), float_model=_metrics(0.5), baseline=_metrics(None), baseline_version=2),
            gate=(GateResult("min_map", 0.4, 0.3, True, "reaches"),),
        ),
        blessed=True,
        edgetpu=EdgeTpuRecord(False, None, PlacementSource.PREDICTION, 60, 0, 0, 60, "no compiler"),
        pushed=PUSHED,
        seconds={"Trainer": 12.34567},
    )


def test_the_headline_is_int8_or_float_without_an_int8_model() -> None:
    assert MetricsSummary(_metrics(0.5), _metrics(0.4), None).headline == _metrics(0.4)
    assert MetricsSummary(_metrics(0.5), None, None).headline == _metrics(0.5)
    assert MetricsSummary(None, None, None).headline is None


def test_a_complete_run() -> None:
    summary = summarize(_complete_run())
    assert json.loads(json.dumps(summary)) == {
        "schema_version": 1,
        "run_id": "20260102T120000",
        "model": "cells",
        "verdict": "BLESSED",
        "failure": None,
        "data": {
            "splits": {
                "train": {"images": 8, "boxes": 20, "per_class": {"RBC": 20}},
                "eval": {"images": 2, "boxes": 4, "per_class": {"RBC": 4}},
            },
            "findings": [
                {
                    "file": "a.xml",
                    "object": 1,
                    "rule": "box_degenerate",
                    "message": "xmin 5, xmax 5",
                    "action": "dropped_box",
                }
            ],
            "anomalies": [{"split": "eval", "feature": "image/width", "description": "out of range"}],
            "spans": None,
        },
        "training": {"steps": 100, "best_step": 80, "stop_reason": "early_stopping", "seconds": 12.5},
        "metrics": {"float": _metrics_json(0.5), "int8": _metrics_json(0.4), "baseline": _metrics_json(None)},
        "gate": [{"rule": "min_map", "value": 0.4, "threshold": 0.3, "passed": True, "reason": "reaches"}],
        "edgetpu": {
            "compiled": False,
            "compiler_version": None,
            "source": "prediction",
            "ops_total": 60,
            "ops_on_tpu": 0,
            "ops_on_cpu": 0,
            "ops_uncertain": 60,
            "reason": "no compiler",
        },
        "pushed": {"version": 3, "path": "serving/m/3"},
        "seconds": {"Trainer": 12.346},
    }


def test_a_run_that_stopped_at_once_has_every_key() -> None:
    summary = summarize(RunRecords(run_id="1", model="", failure=Failure("config", "no such file")))
    assert list(summary) == list(summarize(_complete_run()))
    assert summary["verdict"] == "FAILED"
    assert summary["failure"] == {"component": "config", "message": "no such file"}
    assert summary["data"] == {"splits": {}, "findings": [], "anomalies": [], "spans": None}
    assert summary["metrics"] == {"float": None, "int8": None, "baseline": None}
    assert (summary["training"], summary["edgetpu"], summary["pushed"]) == (None, None, None)
    assert (summary["gate"], summary["seconds"]) == ([], {})


@pytest.mark.parametrize(
    ("blessed", "pushed", "failure", "verdict"),
    [
        pytest.param(True, PUSHED, None, Verdict.BLESSED, id="blessed-and-pushed"),
        pytest.param(False, None, None, Verdict.NOT_BLESSED, id="refused"),
        pytest.param(True, None, None, Verdict.FAILED, id="blessed-yet-not-pushed"),
        pytest.param(None, None, None, Verdict.FAILED, id="never-judged"),
        pytest.param(True, PUSHED, Failure("Pusher", "x"), Verdict.FAILED, id="failed-after-the-push"),
    ],
)
def test_the_verdict_fails_closed(
    blessed: bool | None, pushed: Pushed | None, failure: Failure | None, verdict: Verdict
) -> None:
    assert decide_verdict(RunRecords("1", "m", failure, blessed=blessed, pushed=pushed)) is verdict
