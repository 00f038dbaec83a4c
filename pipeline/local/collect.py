"""Reads the artifacts of a run into the records of its summary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Optional, TypeVar

from pipeline.local.stop import Stop
from reefline.bundle.export_record import EXPORT_FILE, ExportRecord
from reefline.data.reports import IngestionReport, ValidationReport
from reefline.edgetpu.preflight_report import Preflight
from reefline.edgetpu.record import EdgeTpuRecord
from reefline.evaluation.report import EvaluationReport
from reefline.findings import Finding
from reefline.lineage.records import ArtifactRecord
from reefline.report.summary import Pushed, RunRecords
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


def collect(
    run_id: str, model: str, seconds: Mapping[str, float], outputs: Mapping[str, ArtifactRecord], stop: Stop | None
) -> RunRecords:
    """Return the records of a run: what its outputs contain and why it stopped; what is missing is None or empty."""

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
        anomalies=validation.anomalies if validation else (),
        training=read("Trainer.model_run", lambda f: TrainingReport.read(ModelRunFolder(f).report)),
        evaluation=read("Evaluator.evaluation", lambda f: EvaluationReport.read(EvaluationFolder(f).evaluation)),
        blessed=blessing.properties.get("blessed") == 1 if blessing else None,
        edgetpu=_choose_edgetpu(exported, preflight, stop),
        pushed=_pushed(pushed_model.properties) if pushed_model else None,
        seconds=seconds,
    )


def _join_findings(report: IngestionReport | ValidationReport | None, stop: Stop | None) -> tuple[Finding, ...]:
    """Return the findings of a report, then those that only the error carried."""
    reported = report.findings if report else ()
    known = set(reported)
    return (*reported, *(finding for finding in (stop.findings if stop else ()) if finding not in known))


def _choose_edgetpu(*sources: ExportRecord | Preflight | Stop | None) -> Optional[EdgeTpuRecord]:
    """Return the record of the first source that has one."""
    return next((source.edgetpu for source in sources if source and source.edgetpu), None)


def _pushed(properties: Mapping[str, Any]) -> Optional[Pushed]:
    if properties.get("pushed") != 1:
        return None
    return Pushed(version=int(properties["version"]), path=str(properties["path"]))
