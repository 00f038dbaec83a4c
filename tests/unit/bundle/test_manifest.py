from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path

import pytest

from reefline.bundle.checking import verify_bundle
from reefline.bundle.manifest import FileRecord, Manifest, read_manifest, record_files
from reefline.bundle.store import push_bundle
from reefline.errors import BundleError
from reefline.evaluation.report import EvaluationReport
from reefline.system.files import hash_file
from tests.factories_evaluation import make_facts, make_scores, write_candidate

LICENSES = {"CC BY 4.0": 60, "unknown": 3}


@pytest.fixture
def bundle(tmp_path) -> Path:
    evaluation = make_evaluation(scores=make_scores(milliseconds={"float": 12.5}))
    facts = make_facts(evaluation=evaluation, licenses=LICENSES)
    return push_bundle(write_candidate(tmp_path / "candidate"), facts, tmp_path / "serving").path


def make_evaluation(**overrides) -> EvaluationReport:
    return dataclasses.replace(make_facts().evaluation, thresholds={"cat": 0.4, "dog": None}, **overrides)


def edit_manifest(bundle: Path, **changes) -> None:
    record = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(record | changes))


def test_manifest_holds_the_contract(bundle):
    record = json.loads((bundle / "manifest.json").read_text())

    assert (record["schema_version"], record["model"], record["version"]) == (1, "detector", 1)
    assert (record["run_id"], record["replaces"], record["checkpoint"]) == ("run-1", None, "runs/1/best/ckpt-7")
    assert record["files"]["model_int8.tflite"] == {"sha256": hashlib.sha256(b"model").hexdigest(), "bytes": 5}
    assert set(record["files"]) == {"model_int8.tflite", "labels.txt"}
    assert (record["input_size"], record["classes"]) == ([8, 16], ["cat", "dog"])
    assert set(record["metrics"]) >= {"float", "int8", "baseline"}
    assert record["metrics"]["int8"]["mAP"] == 0.5
    assert record["gate"]["verdict"] == "BLESSED"
    assert record["gate"]["rules"][0]["rule"] == "min_map"
    assert record["edgetpu"]["compiled"] is False
    assert record["data_fingerprint"] == "f" * 64
    assert record["data"] == {"licenses": {"CC BY 4.0": 60, "unknown": 3}}
    assert record["created"].endswith("+00:00")
    assert record["thresholds"] == {"cat": 0.4, "dog": None}
    assert "milliseconds" not in record["metrics"]


def test_manifest_round_trip(bundle):
    manifest = read_manifest(bundle)

    assert manifest.facts == make_facts(evaluation=make_evaluation(), licenses=LICENSES)
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert manifest.shipped_file.name == "model_int8.tflite"


def test_manifest_of_an_older_version_suggests_no_threshold_and_knows_no_license(bundle):
    record = json.loads((bundle / "manifest.json").read_text())
    del record["thresholds"], record["data"]
    (bundle / "manifest.json").write_text(json.dumps(record))

    assert read_manifest(bundle).facts.evaluation.thresholds == {}
    assert read_manifest(bundle).facts.licenses == {}


def test_verify_whole_bundle(bundle):
    assert verify_bundle(bundle).version == 1


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(
            lambda b: (b / "model_int8.tflite").write_bytes(b"MODEL"), "model_int8.tflite: sha256", id="changed"
        ),
        pytest.param(lambda b: (b / "model_int8.tflite").write_bytes(b"mo"), "2 bytes found, 5 expected", id="cut-off"),
        pytest.param(lambda b: (b / "labels.txt").unlink(), "labels.txt: missing", id="gone"),
        pytest.param(
            lambda b: (b / "manifest.json").unlink(),
            "manifest.json: missing or unreadable .*; restore",
            id="no-manifest",
        ),
        pytest.param(
            lambda b: (b / "manifest.json").write_text("{"), "manifest.json: damaged .*; restore", id="manifest-cut-off"
        ),
        pytest.param(
            lambda b: (b / "manifest.json").write_text("[]"), "manifest.json: damaged .*; restore", id="manifest-a-list"
        ),
        pytest.param(
            lambda b: edit_manifest(b, metrics={"float": None}), "manifest.json: int8: damaged", id="no-metrics"
        ),
        pytest.param(
            lambda b: edit_manifest(b, thresholds={"cat": 40}),
            "manifest.json: .*thresholds: 'cat': 40 found, a number from 0 to 1 or null expected",
            id="percent",
        ),
        pytest.param(
            lambda b: edit_manifest(b, thresholds=[0.4]), "manifest.json: damaged .*; restore", id="thresholds-a-list"
        ),
        pytest.param(
            lambda b: edit_manifest(b, data={"licenses": {"CC0": "many"}}),
            "manifest.json: .*data.licenses: 'CC0': 'many' found, a number above 0 expected",
            id="licenses",
        ),
        pytest.param(lambda b: edit_manifest(b, data=[]), "manifest.json: damaged .*; restore", id="data-a-list"),
        pytest.param(
            lambda b: (b / "manifest.json").write_text('{"schema_version": 99}'), "99 found, 1 expected", id="newer"
        ),
    ],
)
def test_verify_damaged_bundle(bundle, damage, message):
    damage(bundle)

    with pytest.raises(BundleError, match=message):
        verify_bundle(bundle)


def test_every_damaged_file_is_one_problem(bundle):
    (bundle / "labels.txt").unlink()
    (bundle / "model_int8.tflite").unlink()

    with pytest.raises(BundleError, match="missing") as caught:
        verify_bundle(bundle)

    assert len(caught.value.problems) == 2


def test_manifest_without_a_model(bundle):
    record = json.loads((bundle / "manifest.json").read_text())
    del record["files"]["model_int8.tflite"]
    (bundle / "manifest.json").write_text(json.dumps(record))

    with pytest.raises(BundleError, match="lists no TFLite model"):
        read_manifest(bundle)


def test_files_of_a_candidate(tmp_path):
    candidate = write_candidate(tmp_path, b"abc")
    (candidate / "model_int8_edgetpu.tflite").write_bytes(b"tpu")

    files = {file.name: file for file in record_files(candidate)}

    assert set(files) == {"model_int8.tflite", "model_int8_edgetpu.tflite", "labels.txt"}
    assert files["model_int8.tflite"] == FileRecord("model_int8.tflite", hashlib.sha256(b"abc").hexdigest(), 3)


def test_hash_of_a_file_larger_than_a_chunk(tmp_path):
    content = bytes(range(256)) * 10_000
    (tmp_path / "big").write_bytes(content)

    assert hash_file(tmp_path / "big") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        pytest.param(
            {"replaces": "../../evil"}, r"replaces: '\.\./\.\./evil' found, null or a version below 1", id="path"
        ),
        pytest.param({"replaces": 1}, "replaces: 1 found, null or a version below 1", id="replaces-itself"),
        pytest.param({"version": "1"}, "version: '1' found, a number above 0", id="version-is-text"),
        pytest.param({"version": True}, "version: True found, a number above 0", id="version-is-boolean"),
        pytest.param({"version": 0}, "version: 0 found, a number above 0", id="version-zero"),
    ],
)
def test_versions_are_numbers_that_grow(bundle, changes, problem):
    edit_manifest(bundle, **changes)

    with pytest.raises(BundleError, match=f"manifest.json: {problem}"):
        read_manifest(bundle)


def edit_files(bundle: Path, **changes: object) -> None:
    files = json.loads((bundle / "manifest.json").read_text())["files"]
    edit_manifest(bundle, files={name: value for name, value in (files | changes).items() if value is not None})


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        pytest.param({"labels.txt": None}, "does not list labels.txt", id="labels-left-out"),
        pytest.param({"model_int8.tflite": None}, "lists no TFLite model", id="model-left-out"),
        pytest.param(
            {"x" * 5000: {"sha256": "0" * 64, "bytes": 1}}, "files: 'x{59}… is no file of a bundle", id="long"
        ),
        pytest.param({"../labels.txt": {"sha256": "0" * 64, "bytes": 1}}, "is no file of a bundle", id="outside"),
        pytest.param({"labels.txt": {"sha256": "0", "bytes": 1}}, "labels.txt: size or sha256 damaged", id="sha256"),
        pytest.param({"labels.txt": {"sha256": "0" * 64, "bytes": "1"}}, "size or sha256 damaged", id="bytes"),
    ],
)
def test_files_are_those_of_a_bundle(bundle, changes, problem):
    edit_files(bundle, **changes)

    with pytest.raises(BundleError, match=f"manifest.json: .*{problem}"):
        verify_bundle(bundle)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        pytest.param(lambda path: path.write_text("[" * 100_000), "nested too deep", id="nested"),
        pytest.param(lambda path: path.write_text(" " * 17_000_000), "more than 16000000 bytes", id="huge"),
        pytest.param(lambda path: (path.unlink(), os.mkfifo(path)), "not a file", id="fifo"),
    ],
)
def test_hostile_manifest_is_one_message(bundle, make, problem):
    make(bundle / "manifest.json")

    with pytest.raises(BundleError, match=f"manifest.json: .*{problem}"):
        read_manifest(bundle)
