"""Reads the artifacts of a run into the records of its summary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, TypeVar

from reefline.bundle.export_record import EXPORT_FILE, ExportRecord
from reefline.data.anomalies import read_anomalies
from reefline.data.reports import IngestionReport, ValidationReport
from reefline.edgetpu.preflight_report import Preflight
from reefline.edgetpu.record import EdgeTpuRecord
from reefline.evaluation.report import EvaluationReport
from reefline.findings import Finding
from reefline.lineage.records import ArtifactRecord
from reefline.report.summary import Failure, Pushed, RunRecords
from reefline.structures.artifacts import (
    EvaluationFolder,
    FindingsFolder,
    IngestionFolder,
    ModelFolder,
    ModelRunFolder,
    PreflightFolder,
)
from reefline.training.report import TrainingReport

_T = TypeVar("_T")


@dataclass(frozen=True)
class EarlyEnd:
    """Why a run stopped early; `findings` and `edgetpu` are what only the error carried."""

    failure: Failure
    findings: tuple[Finding, ...] = ()
    edgetpu: Optional[EdgeTpuRecord] = None


def collect(
    run_id: str, model: str, seconds: Mapping[str, float], outputs: Mapping[str, ArtifactRecord], stop: EarlyEnd | None
) -> RunRecords:
    """Return the records of a run: what its outputs contain and why it stopped; what is missing is None or empty.

    A validator that refuses the data leaves no report: its findings come from the error, its anomalies from
    ExampleValidator.

    Raises:
        RecordError: an artifact is damaged.
    """

    def read(output: str, reader: Callable[[Path], _T]) -> _T | None:
        return reader(outputs[output].folder) if output in outputs else None

    ingestion = read("VocExampleGen.report", lambda f: IngestionReport.read(IngestionFolder(f).report))
    validation = read("AnnotationValidator.findings", lambda f: ValidationReport.read(FindingsFolder(f).validation))
    preflight = read("EdgeTpuPreflight.preflight", lambda f: Preflight.read(PreflightFolder(f).preflight))
    exported = read("EdgeTpuExporter.model", lambda f: ExportRecord.read(ModelFolder(f).bundle / EXPORT_FILE))
    blessing, pushed_model = outputs.get("Evaluator.blessing"), outputs.get("Pusher.pushed_model")
    return RunRecords(
        run_id=run_id,
        model=model,
        failure=stop.failure if stop else None,
        splits=ingestion.splits if ingestion else {},
        findings=_join_findings(validation or ingestion, stop),
        anomalies=(validation.anomalies if validation else read("ExampleValidator.anomalies", read_anomalies)) or (),
        spans=validation.spans if validation else None,
        training=read("Trainer.model_run", lambda f: TrainingReport.read(ModelRunFolder(f).report)),
        evaluation=read("Evaluator.evaluation", lambda f: EvaluationReport.read(EvaluationFolder(f).evaluation)),
        blessed=blessing.properties.get("blessed") == 1 if blessing else None,
        edgetpu=_choose_edgetpu(exported, preflight, stop),
        pushed=_pushed(pushed_model.properties) if pushed_model else None,
        # As summary.json keeps them: a rebuilt page shows the same.
        seconds={name: round(value, 3) for name, value in seconds.items()},
    )


def _join_findings(report: IngestionReport | ValidationReport | None, stop: EarlyEnd | None) -> tuple[Finding, ...]:
    """Return the findings of a report, then those that only the error carried."""
    reported = report.findings if report else ()
    known = set(reported)
    return (*reported, *(finding for finding in (stop.findings if stop else ()) if finding not in known))


def _choose_edgetpu(*sources: ExportRecord | Preflight | EarlyEnd | None) -> Optional[EdgeTpuRecord]:
    """Return the record of the first source that has one."""
    return next((source.edgetpu for source in sources if source and source.edgetpu), None)


def _pushed(properties: Mapping[str, Any]) -> Optional[Pushed]:
    if properties.get("pushed") != 1:
        return None
    return Pushed(version=int(properties["version"]), path=str(properties["path"]))
