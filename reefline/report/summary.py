"""summary.json: what a run found, did and decided, from the records of its parts. No file is read here."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pydantic

from reefline.data.reports import Anomaly, SplitCounts
from reefline.data.span_report import SpanReport
from reefline.edgetpu.record import EdgeTpuRecord
from reefline.evaluation.report import EvaluationReport, GateResult
from reefline.evaluation.scores import CocoMetrics
from reefline.findings import Finding
from reefline.system.record import Record
from reefline.training.report import StopReason, TrainingReport

if TYPE_CHECKING:
    from typing_extensions import Self


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
    spans: SpanReport | None = None
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


@dataclass(frozen=True)
class DataSummary(Record):
    """The ingested data: counts by split, findings, anomalies, and how the newest span differs, None without spans."""

    splits: Mapping[str, SplitCounts]
    findings: tuple[Finding, ...]
    anomalies: tuple[Anomaly, ...]
    spans: SpanReport | None = None


@dataclass(frozen=True)
class TrainingSummary(Record):
    """How the training ended; `seconds` is wall-clock time."""

    steps: int
    best_step: int
    stop_reason: StopReason
    seconds: float


@dataclass(frozen=True)
class MetricsSummary(Record):
    """The metrics of the candidate, float and int8, and of the model that served before; None if not measured."""

    float_model: Annotated[CocoMetrics | None, pydantic.Field(alias="float")]
    int8: CocoMetrics | None
    baseline: CocoMetrics | None

    @property
    def headline(self) -> CocoMetrics | None:
        """The metrics that stand for a run in the index: int8, or the SavedModel where there is none."""
        return self.int8 or self.float_model


@dataclass(frozen=True)
class Summary(Record):
    """summary.json, whose schema is docs/summary.schema.json; parts that a run did not reach are None or empty."""

    schema_version: Literal[1]
    run_id: str
    model: str
    verdict: Verdict
    failure: Failure | None
    data: DataSummary
    training: TrainingSummary | None
    metrics: MetricsSummary
    gate: tuple[GateResult, ...]
    edgetpu: EdgeTpuRecord | None
    pushed: Pushed | None
    seconds: Mapping[str, float]

    @classmethod
    def from_records(cls, records: RunRecords) -> Self:
        """Return the summary of a run."""
        training, evaluation = records.training, records.evaluation
        scores = evaluation.scores if evaluation else None
        return cls(
            schema_version=1,
            run_id=records.run_id,
            model=records.model,
            verdict=decide_verdict(records),
            failure=records.failure,
            data=DataSummary(records.splits, records.findings, records.anomalies, records.spans),
            training=TrainingSummary(training.steps, training.best_step, training.stop_reason, training.seconds)
            if training
            else None,
            metrics=MetricsSummary(scores.float_model, scores.int8, scores.baseline)
            if scores
            else MetricsSummary(None, None, None),
            gate=evaluation.gate if evaluation else (),
            edgetpu=records.edgetpu,
            pushed=records.pushed,
            seconds={name: round(seconds, 3) for name, seconds in records.seconds.items()},
        )


def summarize(records: RunRecords) -> dict[str, Any]:
    """Return the contents of summary.json, schema_version 1; parts that a run did not reach are null or empty."""
    return Summary.from_records(records).to_json()


def format_summary(records: RunRecords) -> str:
    """Return summary.json as text."""
    return json.dumps(summarize(records), indent=2, ensure_ascii=False) + "\n"
