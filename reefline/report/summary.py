"""summary.json: what a run found, did and decided, from the records of its parts. No file is read here."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reefline.data.reports import Anomaly, SplitCounts, ValidationReport
from reefline.edgetpu.record import EdgeTpuRecord
from reefline.evaluation.report import EvaluationReport
from reefline.findings import Finding
from reefline.system.record import Record
from reefline.training.report import TrainingReport

SCHEMA_VERSION = 1


class Verdict(str, enum.Enum):
    """How a run ended: blessed and pushed, refused by the gate, or stopped before a verdict."""

    BLESSED = "BLESSED"
    NOT_BLESSED = "NOT_BLESSED"
    FAILED = "FAILED"


@dataclass(frozen=True)
class Failure(Record):
    """Where a run stopped, and why."""

    component: str
    message: str


@dataclass(frozen=True)
class Pushed(Record):
    """The bundle that holds this run's model; `path` is the bundle's folder."""

    version: int
    path: str


@dataclass(frozen=True)
class RunRecords:
    """What is known of a run; what it did not reach is None or empty.

    `splits` maps a split's name to its counts, `seconds` a component's name to its wall-clock time in this run.
    """

    run_id: str
    model: str
    failure: Failure | None = None
    splits: Mapping[str, SplitCounts] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    anomalies: tuple[Anomaly, ...] = ()
    training: TrainingReport | None = None
    evaluation: EvaluationReport | None = None
    blessed: bool | None = None
    edgetpu: EdgeTpuRecord | None = None
    pushed: Pushed | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)


def decide_verdict(records: RunRecords) -> Verdict:
    """Return the verdict. It fails closed: BLESSED requires a blessing, a bundle and no failure."""
    if records.failure is not None or records.blessed is None:
        return Verdict.FAILED
    if not records.blessed:
        return Verdict.NOT_BLESSED
    return Verdict.BLESSED if records.pushed is not None else Verdict.FAILED


def summarize(records: RunRecords) -> dict[str, Any]:
    """Return the contents of summary.json, schema_version 1; parts that a run did not reach are null or empty."""
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": records.run_id,
        "model": records.model,
        "verdict": decide_verdict(records).value,
        "failure": records.failure.to_json() if records.failure else None,
        "data": {
            "splits": {name: counts.to_json() for name, counts in records.splits.items()},
            **ValidationReport(records.findings, records.anomalies).to_json(),
        },
        "training": _training_to_json(records.training),
        "metrics": _metrics_to_json(records.evaluation),
        "gate": [result.to_json() for result in records.evaluation.gate] if records.evaluation else [],
        "edgetpu": records.edgetpu.to_json() if records.edgetpu else None,
        "pushed": records.pushed.to_json() if records.pushed else None,
        "seconds": {name: round(seconds, 3) for name, seconds in records.seconds.items()},
    }


def _training_to_json(training: TrainingReport | None) -> dict[str, Any] | None:
    if training is None:
        return None
    return {
        "steps": training.steps,
        "best_step": training.best_step,
        "stop_reason": training.stop_reason.value,
        "seconds": training.seconds,
    }


def _metrics_to_json(evaluation: EvaluationReport | None) -> dict[str, Any]:
    scores = evaluation.scores.to_json() if evaluation else {}
    return {name: scores.get(name) for name in ("float", "int8", "baseline")}
