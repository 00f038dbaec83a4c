"""Summaries of runs that ended in each possible way, and the check against the published schema."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reefline.data.reports import Anomaly, SplitCounts
from reefline.evaluation.report import EvaluationReport, GateResult
from reefline.evaluation.scores import Precision
from reefline.findings import Action, Finding
from reefline.report.summary import Failure, Pushed, RunRecords, Summary
from reefline.training.report import StopReason, TrainingReport
from tests.factories_evaluation import make_edgetpu_record, make_metrics, make_scores

SCHEMA_FILE = Path(__file__).resolve().parents[1] / "docs" / "summary.schema.json"
PASSED = GateResult("min_map", 0.5, 0.4, True, "mAP 0.5000 reaches 0.4000")
REFUSED = GateResult("min_map", 0.5, 0.9, False, "mAP 0.5000 is below 0.9000")


def make_records(run_id: str = "20260102T120000", **overrides: Any) -> RunRecords:
    """Return the records of a blessed run with some of everything."""
    values = {
        "model": "pets",
        "splits": {
            "train": SplitCounts(8, 20, {"cat": 12, "dog": 8}),
            "eval": SplitCounts(2, 7, {"cat": 3, "dog": 4}),
        },
        "findings": (
            Finding("a.xml", 1, "box_degenerate", "xmin 5, xmax 5", Action.DROPPED_BOX),
            Finding("b.jpg", None, "image_unused", "no annotation", Action.KEPT),
            Finding("c.xml", 0, "box_degenerate", "ymin 2, ymax 2", Action.DROPPED_BOX),
        ),
        "anomalies": (Anomaly("eval", "image/width", "out of range"),),
        "training": TrainingReport(1000, 800, StopReason.EARLY_STOPPING, 125.0, ()),
        "evaluation": EvaluationReport(
            make_scores(
                make_metrics(0.5), float_model=make_metrics(0.6), baseline=make_metrics(0.4), baseline_version=1
            ),
            (PASSED,),
        ),
        "blessed": True,
        "edgetpu": make_edgetpu_record(),
        "pushed": Pushed(2, "ws/serving/pets/2"),
        "seconds": {"VocExampleGen": 1.5, "Trainer": 125.25},
    }
    return RunRecords(run_id, **{**values, **overrides})


def make_blessed(run_id: str = "20260102T120000", **overrides: Any) -> Summary:
    """Return the summary of a blessed run."""
    return Summary.from_records(make_records(run_id, **overrides))


def make_refused(run_id: str = "20260102T120000", **overrides: Any) -> Summary:
    """Return the summary of a run that the gate refused."""
    evaluation = EvaluationReport(make_scores(), (REFUSED,))
    return make_blessed(run_id, **{"evaluation": evaluation, "blessed": False, "pushed": None, **overrides})


def make_failed(run_id: str = "20260102T120000", **overrides: Any) -> Summary:
    """Return the summary of a run that stopped in Trainer."""
    left = {"training": None, "evaluation": None, "blessed": None, "edgetpu": None, "pushed": None}
    failure = Failure("Trainer", "loss is NaN at step 7\nthe batch held a.jpg")
    return make_blessed(run_id, **{**left, "failure": failure, **overrides})


def make_float_only(run_id: str = "20260102T120000", **overrides: Any) -> Summary:
    """Return the summary of a blessed run without int8 model."""
    scores = make_scores(make_metrics(0.5), Precision.FLOAT)
    return make_blessed(run_id, **{"evaluation": EvaluationReport(scores, (PASSED,)), **overrides})


def make_unstarted(run_id: str = "20260102T120000") -> Summary:
    """Return the summary of a run that stopped at its config."""
    return Summary.from_records(RunRecords(run_id, "", Failure("config", "c.yaml: no such config file")))


def write_run(reports: Path, summary: Summary, *, config: str = "model_name: pets\n", page: bool = True) -> Path:
    """Write a run's folder as local_runner does, and return it."""
    folder = reports / summary.run_id
    folder.mkdir(parents=True)
    summary.write(folder / "summary.json")
    if config:
        (folder / "config.yaml").write_text(config, encoding="utf-8")
    if page:
        (folder / "index.html").write_text(f"<!doctype html><title>{summary.run_id}</title>", encoding="utf-8")
    return folder


def find_schema_errors(summary: Mapping[str, Any]) -> list[str]:
    """Return where a summary differs from docs/summary.schema.json, and how."""
    return [
        f"{error.json_path}: {error.message}" for error in _validator().iter_errors(json.loads(json.dumps(summary)))
    ]


@functools.lru_cache
def _validator() -> Any:
    import jsonschema

    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)
