"""ServingBundle, ModelScorer, Evaluator and Pusher in a real pipeline with real, tiny models."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import ml_metadata
import pytest
from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.components.common.importer import Importer
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.types.experimental.simple_artifacts import File
from tfx.types.standard_artifacts import ExampleAnomalies, Examples, Model, ModelRun

from components.evaluator.component import Evaluator
from components.model_scorer.component import ModelScorer
from components.pusher.component import Pusher
from components.serving_bundle.component import ServingBundle
from reefline.bundle.checking import verify_bundle
from reefline.bundle.manifest import read_manifest
from reefline.bundle.store import read_current, rollback
from reefline.errors import BundleError
from reefline.images.thumbnails import read_thumbnails
from reefline.settings import ExporterSettings, GateSettings
from reefline.structures.artifacts import ScoresFolder
from reefline.structures.split_detections import SplitDetections
from tests.factories import make_report
from tests.factories_evaluation import write_eval_split, write_model

NODES = ("ServingBundle", "ModelScorer", "Evaluator", "Pusher")
State = metadata_store_pb2.Execution


@dataclass(frozen=True)
class Run:
    """What a run did: the nodes that executed, and the outputs of all by "Node.key"."""

    executed: tuple[str, ...]
    outputs: dict[str, metadata_store_pb2.Artifact]

    def fact(self, output: str, name: str):
        value = self.outputs[output].custom_properties[name]
        return getattr(value, value.WhichOneof("value"))

    def json(self, output: str, file: str):
        return json.loads((Path(self.outputs[output].uri) / file).read_text())


@dataclass(frozen=True)
class Workspace:
    root: Path

    @property
    def serving(self) -> Path:
        return self.root / "serving"

    def run(self, model: str = "a", **thresholds) -> Run:
        before = self._execution_ids()
        LocalDagRunner().run(self._pipeline(model, GateSettings(**thresholds)))
        return self._read_run(before)

    def _pipeline(self, model: str, settings: GateSettings) -> Pipeline:
        examples = Importer(source_uri=str(self.root / "examples"), artifact_type=Examples).with_id("examples")
        report = Importer(
            source_uri=str(self.root / "examples"),
            artifact_type=ExampleAnomalies,
            custom_properties={"input_fingerprint": "d" * 64},
        ).with_id("report")
        label_map = Importer(source_uri=str(self.root / "examples"), artifact_type=File).with_id("label_map")
        candidate = Importer(
            source_uri=str(self.root / "models" / model),
            artifact_type=Model,
            custom_properties={"checkpoint": f"{model}/ckpt-1"},
        ).with_id("model")
        model_run = Importer(source_uri=str(self.root / "models" / model), artifact_type=ModelRun).with_id("model_run")
        bundle = ServingBundle(
            model=candidate.outputs["result"], destination=str(self.serving), model_name="detector", code="1"
        )
        scorer = ModelScorer(
            examples=examples.outputs["result"],
            label_map=label_map.outputs["result"],
            model=candidate.outputs["result"],
            baseline=bundle.outputs["baseline"],
            code="1",
        )
        evaluator = Evaluator(
            scores=scorer.outputs["scores"],
            model=candidate.outputs["result"],
            model_run=model_run.outputs["result"],
            settings=settings.to_json(),
            exporter_settings=ExporterSettings().to_json(),
            code="1",
        )
        pusher = Pusher(
            model=candidate.outputs["result"],
            blessing=evaluator.outputs["blessing"],
            baseline=bundle.outputs["baseline"],
            evaluation=evaluator.outputs["evaluation"],
            report=report.outputs["result"],
            destination=str(self.serving),
            model_name="detector",
            code="1",
        )
        return Pipeline(
            pipeline_name="evaluation",
            pipeline_root=str(self.root / "artifacts"),
            components=[examples, report, label_map, candidate, model_run, bundle, scorer, evaluator, pusher],
            enable_cache=True,
            metadata_connection_config=sqlite_metadata_connection_config(str(self.root / "metadata.db")),
        )

    def _store(self) -> ml_metadata.MetadataStore:
        config = metadata_store_pb2.ConnectionConfig()
        config.sqlite.filename_uri = str(self.root / "metadata.db")
        return ml_metadata.MetadataStore(config)

    def _execution_ids(self) -> set[int]:
        if not (self.root / "metadata.db").exists():
            return set()
        return {execution.id for execution in self._store().get_executions()}

    def _read_run(self, before: set[int]) -> Run:
        store = self._store()
        types = {t.id: t.name.rpartition(".")[2] for t in store.get_execution_types()}
        executed, outputs = [], {}
        for execution in store.get_executions():
            node = types[execution.type_id]
            if execution.id in before or node not in NODES:
                continue
            if execution.last_known_state == State.COMPLETE:
                executed.append(node)
            for event in store.get_events_by_execution_ids([execution.id]):
                if event.type == metadata_store_pb2.Event.OUTPUT:
                    (artifact,) = store.get_artifacts_by_id([event.artifact_id])
                    outputs[f"{node}.{event.path.steps[0].key}"] = artifact
        return Run(tuple(executed), outputs)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("inputs")
    write_eval_split(root / "examples")
    make_report().write(root / "examples" / "report.json")
    write_model(root / "models" / "a")
    write_model(root / "models" / "b", size_px=(8, 32))
    write_model(root / "models" / "float", quantized=False)
    return root


@pytest.fixture
def workspace(inputs, tmp_path) -> Workspace:
    for name in ("examples", "models"):
        (tmp_path / name).symlink_to(inputs / name)
    return Workspace(tmp_path)


def test_first_run_blesses_and_pushes(workspace):
    run = workspace.run(min_map=0.5, max_regression=0.1)

    assert run.executed == NODES
    assert run.fact("ServingBundle.baseline", "version") == 0
    scores = run.json("ModelScorer.scores", "scores.json")
    assert scores["int8"]["mAP"] == pytest.approx(1.0)
    assert scores["baseline"] is None
    folder = ScoresFolder(Path(run.outputs["ModelScorer.scores"].uri))
    detections = SplitDetections.read(folder.detections)
    assert list(detections.detections) == ["float", "shipped"]
    assert set(read_thumbnails(folder.thumbnails, {"0.jpg", "1.jpg"})) == {image.name for image in detections.images}
    evaluation = run.json("Evaluator.evaluation", "evaluation.json")
    assert [(result["rule"], result["passed"]) for result in evaluation["gate"]] == [
        ("min_map", True),
        ("max_regression", True),
    ]
    assert run.fact("Evaluator.blessing", "blessed") == 1
    assert run.fact("Evaluator.blessing", "current_model") == str(workspace.root / "models" / "a")
    assert run.fact("Evaluator.blessing", "current_model_id") > 0
    assert [path.name for path in Path(run.outputs["Evaluator.blessing"].uri).iterdir()] == ["BLESSED"]
    assert (run.fact("Pusher.pushed_model", "pushed"), run.fact("Pusher.pushed_model", "version")) == (1, 1)
    manifest = verify_bundle(Path(run.fact("Pusher.pushed_model", "path")))
    assert manifest.facts.data_fingerprint == "d" * 64
    assert manifest.facts.checkpoint == "a/ckpt-1"
    assert manifest.facts.run_id != ""
    assert manifest.facts.evaluation.verdict.value == "BLESSED"
    assert set(manifest.facts.evaluation.thresholds) == {"cat", "dog"}
    assert all(0.9 < threshold <= 1 for threshold in manifest.facts.evaluation.thresholds.values())
    assert read_current(workspace.serving, "detector") == 1


def test_second_run_executes_nothing_and_a_threshold_scores_nothing(workspace):
    workspace.run(min_map=0.5)

    again = workspace.run(min_map=0.5)
    assert again.executed == ()
    assert again.fact("Pusher.pushed_model", "version") == 1

    changed = workspace.run(min_map=0.5, min_edgetpu_ops=1.0)
    assert changed.executed == ("Evaluator", "Pusher")
    assert changed.fact("Evaluator.blessing", "blessed") == 0
    assert [path.name for path in Path(changed.outputs["Evaluator.blessing"].uri).iterdir()] == ["NOT_BLESSED"]
    assert changed.fact("Pusher.pushed_model", "pushed") == 0
    assert read_current(workspace.serving, "detector") == 1


def test_next_model_is_compared_with_what_serves(workspace):
    workspace.run(min_map=0.5)
    second = workspace.run("b", max_regression=0.0)

    assert second.executed == NODES
    assert second.fact("ServingBundle.baseline", "version") == 1
    assert verify_bundle(Path(second.outputs["ServingBundle.baseline"].uri) / "bundle").version == 1
    assert second.json("Evaluator.evaluation", "evaluation.json")["scores"]["baseline"]["mAP"] == pytest.approx(1.0)
    assert read_manifest(Path(second.fact("Pusher.pushed_model", "path"))).replaces == 1
    assert workspace.run("b", max_regression=0.0).executed == ()

    rollback(workspace.serving, "detector")
    third = workspace.run("float")
    assert third.fact("ServingBundle.baseline", "version") == 1
    assert third.fact("Pusher.pushed_model", "version") == 3
    assert third.json("ModelScorer.scores", "scores.json")["int8"] is None
    scored = SplitDetections.read(ScoresFolder(Path(third.outputs["ModelScorer.scores"].uri)).detections)
    assert list(scored.detections) == ["float", "shipped", "baseline"]


def test_lost_serving_folder_is_pushed_again(workspace):
    workspace.run(min_map=0.5)
    shutil.rmtree(workspace.serving)

    run = workspace.run(min_map=0.5)

    assert run.executed == ("Pusher",)
    assert read_current(workspace.serving, "detector") == 1
    assert workspace.run(min_map=0.5).executed == ()


def test_damaged_serving_bundle_stops_the_run(workspace):
    workspace.run()
    (workspace.serving / "detector" / "1" / "labels.txt").unlink()

    with pytest.raises(BundleError, match=r"labels\.txt: missing"):
        workspace.run("b")

    assert read_current(workspace.serving, "detector") == 1
