"""From what a run left in ML Metadata and its artifacts to the records that its summary is made of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional

import ml_metadata
from ml_metadata.proto import metadata_store_pb2

from pipeline.local.dag_runner import NodeRun
from reefline.bundle.export_record import EXPORT_FILE, ExportRecord
from reefline.data.reports import IngestionReport, ValidationReport
from reefline.evaluation.gate import EvaluationReport
from reefline.export.preflight import Preflight
from reefline.report.summary import Pushed, RunRecords
from reefline.structures.artifacts import PreflightFolder
from reefline.training.report import TrainingReport


@dataclass(frozen=True)
class OutputFacts:
    """An output artifact: where it lies and its custom properties."""

    folder: Path
    properties: Mapping[str, Any]


def read_outputs(metadata_db: Path, node_runs: Sequence[NodeRun]) -> dict[str, OutputFacts]:
    """Return the outputs of a run's nodes by "Component.key", those that came from the cache included."""
    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(metadata_db)
    config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READONLY
    store = ml_metadata.MetadataStore(config)
    component_of = {run.execution_id: run.component for run in node_runs if run.execution_id is not None}
    events = [
        event
        for event in store.get_events_by_execution_ids(list(component_of))
        if event.type == metadata_store_pb2.Event.OUTPUT
    ]
    artifacts = {artifact.id: artifact for artifact in store.get_artifacts_by_id([e.artifact_id for e in events])}
    return {
        f"{component_of[event.execution_id]}.{event.path.steps[0].key}": _facts(artifacts[event.artifact_id])
        for event in events
    }


def collect(records: RunRecords, outputs: Mapping[str, OutputFacts]) -> RunRecords:
    """Return `records` with all that the outputs tell; what is not there stays as it is."""
    if found := outputs.get("VocExampleGen.report"):
        ingestion = IngestionReport.from_json(_read_json(found.folder / "report.json"))
        records = replace(records, splits=ingestion.splits, findings=ingestion.findings)
    if found := outputs.get("AnnotationValidator.findings"):
        validation = ValidationReport.from_json(_read_json(found.folder / "validation.json"))
        records = replace(records, findings=validation.findings, anomalies=validation.anomalies)
    if found := outputs.get("Trainer.model_run"):
        records = replace(records, training=TrainingReport.read(found.folder / "training.json"))
    if found := outputs.get("EdgeTpuPreflight.preflight"):
        records = replace(records, edgetpu=Preflight.read(PreflightFolder(found.folder).preflight).edgetpu)
    if found := outputs.get("EdgeTpuExporter.model"):
        exported = ExportRecord.read(found.folder / "bundle" / EXPORT_FILE)
        records = replace(records, edgetpu=exported.edgetpu)
    if found := outputs.get("Evaluator.evaluation"):
        evaluation = EvaluationReport.from_json(_read_json(found.folder / "evaluation.json"))
        records = replace(records, evaluation=evaluation)
    if found := outputs.get("Evaluator.blessing"):
        records = replace(records, blessed=found.properties.get("blessed") == 1)
    if found := outputs.get("Pusher.pushed_model"):
        records = replace(records, pushed=_pushed(found.properties))
    return records


def _pushed(properties: Mapping[str, Any]) -> Optional[Pushed]:
    if properties.get("pushed") != 1:
        return None
    return Pushed(version=int(properties["version"]), path=str(properties["path"]))


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _facts(artifact: Any) -> OutputFacts:
    properties = {name: getattr(value, value.WhichOneof("value")) for name, value in artifact.custom_properties.items()}
    return OutputFacts(Path(artifact.uri), properties)
