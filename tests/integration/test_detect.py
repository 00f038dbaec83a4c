"""`reefline detect` with a real exported model, in a process that cannot import what made it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reefline.inference.detector import TfliteDetector
from reefline.storage.opening import open_storage
from reefline.storage.transfer import upload_tree
from tests.factories_detect import push_untrained_bundle
from tests.factories_training import draw_example

REPO_DIR = Path(__file__).resolve().parents[2]
# Python imports a module of this name by itself when it starts.
FORBIDDING_MODULE = """
import sys

FORBIDDEN = {
    "absl", "apache_beam", "google", "h5py", "jax", "keras", "kfp", "ml_metadata", "object_detection", "official",
    "pandas", "pyarrow", "pycocotools", "scipy", "tensorboard", "tensorflow", "tensorflow_data_validation",
    "tensorflow_lite_support", "tensorflow_metadata", "tf_keras", "tf_slim", "tfx", "tfx_bsl", "tflite_support", "yaml",
}


class Forbidding:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in FORBIDDEN:
            raise ImportError(f"{name} is not on this board")


sys.meta_path.insert(0, Forbidding())
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return push_untrained_bundle(tmp_path_factory.mktemp("untrained"))


@pytest.fixture
def board(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a process in which TensorFlow and all that goes with it cannot be imported."""
    (tmp_path / "board").mkdir()
    (tmp_path / "board" / "sitecustomize.py").write_text(FORBIDDING_MODULE)
    return {**os.environ, "PYTHONPATH": f"{tmp_path / 'board'}{os.pathsep}{REPO_DIR}"}


def run(environment: dict[str, str], *command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, command)], env=environment, cwd=REPO_DIR, capture_output=True, text=True
    )


def test_the_board_has_no_tensorflow(board: dict[str, str]) -> None:
    done = run(board, "-c", "import tensorflow")
    assert done.returncode == 1
    assert "tensorflow is not on this board" in done.stderr


def test_detect_works_from_the_bundle_alone(bundle: Path, board: dict[str, str], tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for index in (3, 4):
        (images / f"square_{index}.jpg").write_bytes(draw_example(index).encoded_jpeg)
    out = tmp_path / "out"

    done = run(board, "-m", "reefline", "detect", "--bundle", bundle, images, "--out", out, "--min-score", "0")

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "model_int8.tflite on the CPU, XNNPACK, 2 threads: the bundle holds no compiled model"
    assert lines[1].startswith(f"{images / 'square_3.jpg'}: ")
    assert lines[3].startswith("median latency ")
    assert {path.name for path in out.iterdir()} == {"square_3.jpg", "square_4.jpg", "detections.json"}
    report = json.loads((out / "detections.json").read_text(encoding="utf-8"))
    assert [image["size"] for image in report["images"]] == [[128, 128], [128, 128]]
    assert all(image["detections"] and image["latency_ms"] > 0 for image in report["images"])


def test_deploy_serve_and_video_work_without_tensorflow(bundle: Path, board: dict[str, str], tmp_path: Path) -> None:
    for program in ("frigate", "viseron", "coral-example"):
        out = tmp_path / program
        done = run(board, "-m", "reefline", "deploy", "--bundle", bundle, "--for", program, "--out", out)
        assert done.returncode == 0, done.stderr
        assert (out / "model_int8.tflite").read_bytes() == (bundle / "model_int8.tflite").read_bytes()
    modules = "reefline.service.serving, reefline.inference.video.detect_in_video, starlette.applications, uvicorn, cv2"
    done = run(board, "-c", f"import {modules}")
    assert done.returncode == 0, done.stderr


def test_detections_are_those_of_the_evaluation(bundle: Path, board: dict[str, str], tmp_path: Path) -> None:
    """The evaluation decodes with TensorFlow, the board with Pillow."""
    import tensorflow as tf

    encoded = draw_example(7).encoded_jpeg
    (tmp_path / "a.jpg").write_bytes(encoded)
    expected = TfliteDetector(bundle / "model_int8.tflite").detect(tf.io.decode_jpeg(encoded, channels=3).numpy())

    done = run(
        board, "-m", "reefline", "detect", "--bundle", bundle, tmp_path / "a.jpg", "--out", tmp_path / "out",
        "--min-score", "0", "--json",
    )  # fmt: skip

    (image,) = json.loads(done.stdout)["images"]
    found = image["detections"]
    order = np.argsort(-expected.scores, kind="stable")
    assert len(found) == len(expected) > 0
    assert [seen["score"] for seen in found] == pytest.approx(expected.scores[order], abs=1e-4)
    boxes = np.array([seen["box_xyxy_px"] for seen in found])
    np.testing.assert_allclose(boxes, expected.boxes_xyxy_px[order], atol=0.01)
    assert [seen["label"] for seen in found] == [("red", "blue")[index] for index in expected.class_indices[order]]
    with Image.open(tmp_path / "out" / "a.jpg") as picture:
        assert picture.size == (128, 128)


def test_detect_runs_a_bundle_of_an_object_store(bundle: Path, tmp_path: Path, s3_folder: str) -> None:
    upload_tree(bundle, open_storage(f"{s3_folder}/serving/detector/1"))
    image = tmp_path / "square.jpg"
    image.write_bytes(draw_example(3).encoded_jpeg)
    environment = {**os.environ, "PYTHONPATH": str(REPO_DIR), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    results = []
    for place in (str(bundle), f"{s3_folder}/serving/detector/1"):
        out = tmp_path / f"out-{len(results)}"
        command = ["-m", "reefline", "detect", "--bundle", place, image, "--out", out, "--min-score", "0"]
        done = run(environment, *command)
        assert done.returncode == 0, done.stderr
        results.append(json.loads((out / "detections.json").read_text())["images"][0]["detections"])
    assert results[0] == results[1] and results[0]

    done = run(environment, "-m", "reefline", "detect", "--bundle", f"{s3_folder}/serving/detector", image)
    assert done.returncode == 2
    assert "manifest.json: missing; name the folder of one version" in done.stderr
    assert "Traceback" not in done.stderr
