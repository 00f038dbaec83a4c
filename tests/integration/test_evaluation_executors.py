"""Executors of ServingBundle and Pusher by themselves: cases that a local pipeline cannot cause."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration import metadata
from tfx.orchestration.portable.data_types import ExecutionInfo
from tfx.types.standard_artifacts import ExampleAnomalies, Model, ModelBlessing, ModelEvaluation, ModelRun, PushedModel

from components.evaluator.component import Evaluator
from components.pusher.driver import PusherDriver
from components.pusher.executor import PusherExecutor
from components.serving_bundle.component import ServingBundle
from components.serving_bundle.driver import ServingBundleDriver
from reefline.bundle.checking import verify_for_use
from reefline.bundle.manifest import read_manifest
from reefline.bundle.remote_bundle import open_bundle
from reefline.bundle.store import push_bundle, read_current
from reefline.errors import RecordError, ReeflineError, StorageError
from reefline.evaluation.report import EvaluationReport, GateResult, GateVerdict
from reefline.evaluation.scores import Precision
from reefline.settings import ExporterSettings, GateSettings
from reefline.storage.opening import open_storage
from reefline.structures.split_detections import SplitDetections
from reefline.system.files import hash_file
from tests.factories import make_report
from tests.factories_evaluation import (
    make_facts,
    make_metrics,
    make_scored_image,
    make_scores,
    make_split_detections,
    write_candidate,
)
from tests.factories_keys import write_key_pair


def make_artifact(artifact_type, directory: Path):
    directory.mkdir(parents=True, exist_ok=True)
    artifact = artifact_type()
    artifact.uri = str(directory)
    return artifact


@pytest.fixture
def model(tmp_path):
    write_candidate(tmp_path / "model" / "bundle", b"candidate")
    return make_artifact(Model, tmp_path / "model")


@pytest.fixture(params=["local", "remote"])
def destination(request, tmp_path, s3_folder):
    return str(tmp_path / "serving") if request.param == "local" else f"{s3_folder}/serving"


@pytest.mark.parametrize("serving", [True, False], ids=["one-serves", "none-serves"])
def test_serving_bundle_resolves_by_itself_where_no_driver_ran(tmp_path, model, serving, destination):
    if serving:
        push_bundle(write_candidate(tmp_path / "old", b"old"), make_facts(), destination)
    outputs = {"baseline": [make_artifact(PushedModel, tmp_path / "baseline")]}
    properties = {"destination": destination, "model_name": "detector", "code": "1"}

    ServingBundle.EXECUTOR_SPEC.executor_class().Do({"model": [model]}, outputs, properties)

    (baseline,) = outputs["baseline"]
    assert baseline.get_int_custom_property("version") == int(serving)
    assert (tmp_path / "baseline" / "bundle" / "model_int8.tflite").exists() is serving


def test_serving_bundle_s_driver_resolves_what_serves(tmp_path, model, destination):
    push_bundle(write_candidate(tmp_path / "old", b"old"), make_facts(), destination)
    info = ExecutionInfo(
        input_dict={"model": [model]}, exec_properties={"destination": destination, "model_name": "detector"}
    )

    resolved = ServingBundleDriver(None).resolve(info)

    assert resolved == {"serving_version": 1, "serving_sha256": hashlib.sha256(b"old").hexdigest()}


def test_pusher_s_driver_notices_a_lost_bundle(tmp_path, model, destination):
    record = push_bundle(tmp_path / "model" / "bundle", make_facts(), destination)
    handle = metadata.Metadata(metadata.sqlite_metadata_connection_config(str(tmp_path / "metadata.db")))
    with handle as connection:
        kind = connection.store.put_artifact_type(metadata_store_pb2.ArtifactType(name="PushedModel"))
        pushed = metadata_store_pb2.Artifact(type_id=kind)
        pushed.custom_properties["pushed"].int_value = 1
        pushed.custom_properties["path"].string_value = str(record.path)
        pushed.custom_properties["sha256"].string_value = record.sha256
        (identity,) = connection.store.put_artifacts([pushed])

    def mark(state: metadata_store_pb2.Artifact.State) -> None:
        pushed.id, pushed.state = identity, state
        with handle as connection:
            connection.store.put_artifacts([pushed])

    properties = {"destination": destination, "model_name": "detector"}
    info = ExecutionInfo(input_dict={"model": [model]}, exec_properties=properties)

    assert PusherDriver(handle).resolve(info) == {"lost_bundles": ""}
    bundle = open_storage(record.path)
    bundle.delete("manifest.json")
    assert PusherDriver(handle).resolve(info) == {"lost_bundles": str(identity)}
    elsewhere = ExecutionInfo(input_dict={"model": [model]}, exec_properties={**properties, "model_name": "other"})
    assert PusherDriver(handle).resolve(elsewhere) == {"lost_bundles": ""}
    # `reefline gc` marks the pushes of bundles that it removes.
    mark(metadata_store_pb2.Artifact.DELETED)
    assert PusherDriver(handle).resolve(info) == {"lost_bundles": ""}
    mark(metadata_store_pb2.Artifact.LIVE)
    assert PusherDriver(handle).resolve(info) == {"lost_bundles": str(identity)}


def test_a_pushed_bundle_counts_images_by_license(tmp_path, model):
    pushed = push(tmp_path, model, blessed=1, passed=True)

    assert read_manifest(Path(pushed.get_string_custom_property("path"))).facts.licenses == {"CC0 1.0": 3}


def test_pusher_signs_where_a_key_is_named(tmp_path, model, destination):
    keys = write_key_pair(tmp_path / "keys")
    push(tmp_path, model, blessed=1, passed=True, destination=destination, signing_key=str(keys.private))
    assert verify_for_use(open_bundle(f"{destination}/detector/1"), keys.public).version == 1


def test_pusher_pushes_to_a_uri(tmp_path, model, s3_folder):
    pushed = push(tmp_path, model, blessed=1, passed=True, destination=s3_folder)

    assert pushed.get_string_custom_property("path") == f"{s3_folder}/detector/1"
    assert read_current(s3_folder, "detector") == 1


@pytest.mark.parametrize("destination", ["hdfs://host/serving", "s3:/bucket/serving"], ids=["scheme", "collapsed"])
def test_pusher_refuses_what_is_neither_a_path_nor_a_supported_uri(tmp_path, model, monkeypatch, destination):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(StorageError, match=r"not supported|one slash"):
        push(tmp_path, model, blessed=1, passed=True, destination=destination)

    assert not list(tmp_path.glob("*:"))


def push(
    tmp_path: Path,
    model,
    *,
    blessed: int,
    passed: bool,
    current_model: str | None = None,
    destination: str | None = None,
    signing_key: str = "",
) -> PushedModel:
    """Run Pusher on a candidate with the given blessing and answer of the gate, and return its output."""
    blessing = make_artifact(ModelBlessing, tmp_path / "blessing")
    blessing.set_string_custom_property("current_model", current_model or model.uri)
    blessing.set_int_custom_property("blessed", blessed)
    evaluation = make_artifact(ModelEvaluation, tmp_path / "evaluation")
    report = EvaluationReport(make_scores(), (GateResult("min_map", 0.5, 0.5, passed, "because"),))
    report.write(tmp_path / "evaluation" / "evaluation.json")
    (tmp_path / "report").mkdir(exist_ok=True)
    make_report(licenses={"CC0 1.0": 3}).write(tmp_path / "report" / "report.json")
    inputs = {
        "model": [model],
        "blessing": [blessing],
        "evaluation": [evaluation],
        "report": [make_artifact(ExampleAnomalies, tmp_path / "report")],
    }
    outputs = {"pushed_model": [make_artifact(PushedModel, tmp_path / "pushed")]}
    properties = {"destination": destination or str(tmp_path / "serving"), "model_name": "detector", "code": "1"}
    properties["signing_key"] = signing_key
    PusherExecutor().Do(inputs, outputs, properties)
    return outputs["pushed_model"][0]


@pytest.mark.parametrize(
    ("passed", "said", "facts"),
    [
        pytest.param(True, "version 1 serves: nothing served before", (1, 1), id="blessed"),
        pytest.param(False, "nothing pushed, the gate refused: min_map", (0, 0), id="refused"),
    ],
)
def test_pusher_logs_what_it_did(tmp_path, model, caplog, passed, said, facts):
    with caplog.at_level("INFO"):
        pushed = push(tmp_path, model, blessed=int(passed), passed=passed)

    assert said in caplog.messages
    assert (pushed.get_int_custom_property("pushed"), pushed.get_int_custom_property("version")) == facts
    path = str(tmp_path / "serving" / "detector" / "1") if passed else ""
    assert pushed.get_string_custom_property("path") == path
    sha256 = hash_file(tmp_path / "model" / "bundle" / "model_int8.tflite") if passed else ""
    assert pushed.get_string_custom_property("sha256") == sha256


@pytest.mark.parametrize(
    ("current_model", "blessed", "passed", "message"),
    [
        pytest.param("elsewhere", 1, True, "it is for elsewhere", id="blessing-of-another-model"),
        pytest.param(
            None, 1, False, "blessed is True, but the evaluation's verdict is NOT_BLESSED", id="blessed-but-refused"
        ),
        pytest.param(
            None, 0, True, "blessed is False, but the evaluation's verdict is BLESSED", id="passed-but-not-blessed"
        ),
    ],
)
def test_pusher_pushes_nothing_where_blessing_and_evaluation_disagree(
    tmp_path, model, current_model, blessed, passed, message
):
    with pytest.raises(ReeflineError, match=message):
        push(tmp_path, model, blessed=blessed, passed=passed, current_model=current_model)

    assert not (tmp_path / "serving").exists()


def test_pusher_names_a_damaged_export_record(tmp_path, model):
    (tmp_path / "model" / "bundle" / "export.json").write_text('{"height_px": "tall"}')

    with pytest.raises(RecordError, match=r"export\.json: height_px: damaged"):
        push(tmp_path, model, blessed=1, passed=True)

    assert not (tmp_path / "serving").exists()


def test_evaluator_names_damaged_scores(tmp_path, model):
    make_scores().write(tmp_path / "scores.json")
    text = (tmp_path / "scores.json").read_text().replace('"baseline_version": 0', '"baseline_version": "none"')

    with pytest.raises(RecordError, match=r"scores\.json: baseline_version: damaged"):
        evaluate(tmp_path, model, scores_text=text)


def evaluate(tmp_path: Path, model, scores_text: str | None = None, **metrics) -> EvaluationReport:
    """Run Evaluator on a missing training run, and return what it wrote."""
    scores = make_artifact(ModelEvaluation, tmp_path / "scores")
    make_scores(**metrics).write(tmp_path / "scores" / "scores.json")
    image = make_scored_image([(0, 0, 9, 9, 1)], [(0, 0, 9, 9, 1, 0.7), (20, 20, 29, 29, 1, 0.6)])
    make_split_detections([image]).write(tmp_path / "scores" / "detections.npz")
    if scores_text is not None:
        (tmp_path / "scores" / "scores.json").write_text(scores_text)
    inputs = {
        "scores": [scores],
        "model": [model],
        "model_run": [make_artifact(ModelRun, tmp_path / "model_run")],
    }
    outputs = {
        "evaluation": [make_artifact(ModelEvaluation, tmp_path / "evaluation")],
        "blessing": [make_artifact(ModelBlessing, tmp_path / "blessing")],
    }
    settings = GateSettings(min_map=0.5, max_quantization_drop=0.1)
    properties = {
        "settings": settings.to_json(),
        "exporter_settings": ExporterSettings().to_json(),
        "code": "1",
    }
    Evaluator.EXECUTOR_SPEC.executor_class().Do(inputs, outputs, properties)
    (blessing,) = outputs["blessing"]
    report = EvaluationReport.read(tmp_path / "evaluation" / "evaluation.json")
    assert blessing.get_int_custom_property("blessed") == int(report.verdict is GateVerdict.BLESSED)
    return report


def test_evaluator_names_missing_detections(tmp_path, model, monkeypatch):
    monkeypatch.setattr(SplitDetections, "write", lambda *_: None)

    with pytest.raises(RecordError, match=r"detections\.npz: cannot read it \(No such file"):
        evaluate(tmp_path, model)


def test_evaluator_suggests_the_thresholds_of_the_shipped_model(tmp_path, model):
    assert evaluate(tmp_path, model).thresholds == {"cat": None, "dog": 0.7}


def test_evaluator_judges_also_where_the_diagnosis_fails(tmp_path, model):
    report = evaluate(tmp_path, model, float_model=make_metrics(0.7))

    assert report.verdict is GateVerdict.NOT_BLESSED
    assert [result.passed for result in report.gate] == [True, False]
    assert report.quantization.tensors == ()
    assert "pipeline.config" in report.quantization.failure
    assert report.gate[1].value == pytest.approx(0.2)
    assert "a drop of 0.2000, more than 0.1000; the tensors with the widest ranges" in report.gate[1].reason
    assert report.quantization.failure in report.gate[1].reason


@pytest.mark.parametrize(
    "metrics",
    [
        pytest.param({}, id="no-drop"),
        pytest.param({"float_model": make_metrics(None)}, id="drop-unknown"),
        pytest.param({"float_model": make_metrics(0.7), "precision": Precision.FLOAT}, id="float-model-that-ships"),
    ],
)
def test_evaluator_asks_for_no_diagnosis(tmp_path, model, metrics):
    report = evaluate(tmp_path, model, **metrics)

    assert report.quantization is None
    assert not any("widest" in result.reason for result in report.gate)
