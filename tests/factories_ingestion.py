"""Real pipelines of VocExampleGen and of what validates it, and examples that no ingestion would write."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

import ml_metadata
from ml_metadata.proto import metadata_store_pb2
from tfx.components.example_validator.component import ExampleValidator
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.components.statistics_gen.component import StatisticsGen
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline

from components.annotation_validator.component import AnnotationValidator
from components.voc_example_gen.component import VocExampleGen
from pipeline.local.dag_runner import DagRunner
from reefline.settings import IngestionSettings, ValidationSettings

REPO_DIR = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class IngestionRun:
    """Where a run's outputs lie, the newest of each component, and how many executions there were, by their state."""

    store: ml_metadata.MetadataStore

    def folder(self, type_name: str, name: str) -> Path:
        return Path(self.artifact(type_name, name).uri)

    def artifact(self, type_name: str, name: str) -> metadata_store_pb2.Artifact:
        found = [a for a in self.store.get_artifacts_by_type(type_name) if f"/{name}/" in a.uri]
        return max(found, key=lambda artifact: artifact.id)

    def states(self, component: str) -> list[str]:
        state = metadata_store_pb2.Execution.State
        executions = [
            e
            for t in self.store.get_execution_types()
            if t.name.endswith(component)
            for e in self.store.get_executions_by_type(t.name)
        ]
        return [state.Name(e.last_known_state) for e in sorted(executions, key=lambda e: e.id)]


def ingest(
    data_dir: Path | str,
    workspace: Path,
    *,
    settings: IngestionSettings = IngestionSettings(),  # noqa: B008  frozen
    validation: ValidationSettings | None = None,
) -> IngestionRun:
    """Run VocExampleGen, and all of validation where its settings are given, on DagRunner with the cache on.

    `data_dir` is a folder, which is linked to as local_runner.py does, or a URI.
    """
    workspace.mkdir(parents=True, exist_ok=True)
    link = workspace / "source"
    link.unlink(missing_ok=True)
    if isinstance(data_dir, Path):
        link.symlink_to(data_dir)
    example_gen = VocExampleGen(
        data_dir=str(link) if isinstance(data_dir, Path) else data_dir,
        settings=settings.without_engine().to_json(),
        workers=settings.workers,
        beam_args=settings.beam_args,
        hash_memory=str(workspace / "hashes.db") if isinstance(data_dir, Path) else "",
        code="tests",
    )
    nodes: list[BaseNode] = [example_gen]
    if validation is not None:
        nodes += _validating_nodes(example_gen, validation)
    connection = sqlite_metadata_connection_config(str(workspace / "metadata.db"))
    DagRunner(uuid.uuid4().hex, lambda _run: None).run(
        Pipeline(
            pipeline_name="ingestion",
            pipeline_root=str(workspace / "artifacts"),
            components=nodes,
            enable_cache=True,
            metadata_connection_config=connection,
        )
    )
    return open_run(workspace)


def open_run(workspace: Path) -> IngestionRun:
    return IngestionRun(ml_metadata.MetadataStore(sqlite_metadata_connection_config(str(workspace / "metadata.db"))))


def _validating_nodes(example_gen: VocExampleGen, validation: ValidationSettings) -> list[BaseNode]:
    examples = example_gen.outputs["examples"]
    statistics_gen = StatisticsGen(examples=examples)
    schema_gen = ImportSchemaGen(schema_file=str(REPO_DIR / "configs" / "schema.pbtxt"))
    validator = ExampleValidator(statistics=statistics_gen.outputs["statistics"], schema=schema_gen.outputs["schema"])
    judge = AnnotationValidator(
        report=example_gen.outputs["report"],
        anomalies=validator.outputs["anomalies"],
        settings=validation.to_json(),
        code="tests",
    )
    return [statistics_gen, schema_gen, validator, judge]
