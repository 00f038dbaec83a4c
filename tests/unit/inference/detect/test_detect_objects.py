"""`reefline detect`, and the library's `detect_objects`, on a bundle of two anchors that was really pushed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from reefline.bundle.manifest import MANIFEST_FILE
from reefline.bundle.signature import load_signer
from reefline.cli import app
from reefline.errors import UsageError
from reefline.inference.detect.detect_objects import detect_objects
from reefline.inference.detect.records import DetectRequest
from tests.factories import encode_image
from tests.factories_detect import push_small_bundle
from tests.factories_evaluation import make_image
from tests.factories_keys import write_key_pair

LABELS = ("кошка", "dog 🐕")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return push_small_bundle(tmp_path_factory.mktemp("pushed"), LABELS)


@pytest.fixture
def images(tmp_path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.png").write_bytes(encode_image(make_image("red", "green"), "PNG"))
    (folder / "b.jpeg").write_bytes(encode_image(make_image("black", "green")))
    (folder / "notes.txt").write_text("no image, and not called one")
    return folder


def run(*arguments: object):
    return CliRunner().invoke(app, ["detect", *map(str, arguments)])


def test_folder_gives_pictures_json_and_lines(bundle, images, tmp_path):
    out = tmp_path / "made" / "here"
    result = run("--bundle", bundle, images, "--out", out)

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "model_int8.tflite on the CPU, XNNPACK, 2 threads: the bundle holds no compiled model"
    assert lines[1].startswith(f"{images / 'a.png'}: 1 кошка, 1 dog 🐕 in ")
    assert lines[2].startswith(f"{images / 'b.jpeg'}: 1 dog 🐕 in ")
    assert lines[3].startswith("median latency ")
    assert {path.name for path in out.iterdir()} == {"a.png", "b.jpg", "detections.json"}


@pytest.mark.parametrize(
    ("cores", "threads"), [pytest.param(8, "4 threads", id="many"), pytest.param(2, "1 thread", id="few")]
)
def test_the_first_line_has_the_threads_of_an_interpreter(bundle, images, tmp_path, monkeypatch, cores, threads):
    monkeypatch.setattr("reefline.inference.detect.runtime.count_cores", lambda: cores)
    result = run("--bundle", bundle, images, "--out", tmp_path / "out", "--interpreters", 2)

    assert result.stdout.splitlines()[0].startswith(f"model_int8.tflite on the CPU, XNNPACK, {threads}: ")


def test_older_bundles_give_the_same_detections(bundle, images, tmp_path):
    older = push_small_bundle(tmp_path, LABELS, old_order=True)
    found = [run("--bundle", folder, images, "--out", tmp_path / "out", "--json") for folder in (bundle, older)]

    assert [result.exit_code for result in found] == [0, 0]
    records = [json.loads(result.stdout)["images"] for result in found]
    detections = [[image["detections"] for image in record] for record in records]
    assert detections[0] == detections[1]
    assert [len(seen) for seen in detections[0]] == [2, 1]


def test_detections_json_is_the_documented_record(bundle, images, tmp_path):
    run("--bundle", bundle, images, "--out", tmp_path / "out")
    record = json.loads((tmp_path / "out" / "detections.json").read_text(encoding="utf-8"))

    first, second = record.pop("images")
    assert record.pop("median_latency_ms") == pytest.approx((first["latency_ms"] + second["latency_ms"]) / 2, abs=0.01)
    assert record == {
        "schema_version": 1,
        "model": "detector",
        "version": 1,
        "device": "cpu",
        "model_file": "model_int8.tflite",
        "reason": "the bundle holds no compiled model",
        "min_score": 0.3,
        "problems": [],
    }
    assert (first["image"], first["size"], first["picture"]) == (str(images / "a.png"), [48, 24], "a.png")
    assert first["latency_ms"] > 0
    by_label = {seen["label"]: seen for seen in first["detections"]}
    assert by_label["кошка"]["box_xyxy_px"] == pytest.approx([0, 0, 24, 24], abs=0.5)
    assert by_label["dog 🐕"]["box_xyxy_px"] == pytest.approx([24, 0, 48, 24], abs=0.5)
    assert all(0.9 < seen["score"] <= 1 for seen in first["detections"])


def test_json_option_prints_the_file_and_nothing_else(bundle, images, tmp_path):
    result = run("--bundle", bundle, images, "--out", tmp_path / "out", "--json")

    assert result.stdout == (tmp_path / "out" / "detections.json").read_text(encoding="utf-8")


def test_picture_shows_the_boxes(bundle, images, tmp_path):
    detect_objects(DetectRequest(bundle, (images / "a.png",), tmp_path / "out"))

    with Image.open(tmp_path / "out" / "a.png") as picture:
        drawn = np.asarray(picture)
    assert drawn.shape == (24, 48, 3)
    assert (drawn[-1] != make_image("red", "green")[-1]).any(axis=1).all()


def test_low_scores_are_left_out(bundle, tmp_path):
    # Both halves are seen: one as surely as can be, one at half the brightness.
    pixels = make_image("red", "green")
    pixels[:, 24:] //= 2
    (tmp_path / "a.png").write_bytes(encode_image(pixels, "PNG"))
    counts = [
        len(detect_objects(DetectRequest(bundle, (tmp_path / "a.png",), tmp_path / "out", score)).images[0].objects)
        for score in (0.3, 0.7)
    ]

    assert counts == [2, 1]


@pytest.mark.parametrize(
    ("thresholds", "arguments", "found", "scores"),
    [
        pytest.param({"cat": 0.9, "dog": 0.6}, [], ["cat"], (0.6, {"cat": 0.9, "dog": 0.6}), id="suggested"),
        pytest.param({"cat": 0.9, "dog": 0.4}, [], ["cat", "dog"], (0.4, {"cat": 0.9, "dog": 0.4}), id="lower"),
        pytest.param({"cat": 0.9, "dog": None}, [], ["cat", "dog"], (0.3, {"cat": 0.9, "dog": 0.3}), id="one-is-null"),
        pytest.param({"cat": 0.6, "dog": 0.6}, [], ["cat"], (0.6, None), id="equal"),
        pytest.param({}, [], ["cat", "dog"], (0.3, None), id="older-bundle"),
        pytest.param(
            {"cat": 0.9, "dog": 0.9}, ["--min-score", "0.1"], ["cat", "dog"], (0.1, None), id="option-overrides"
        ),
    ],
)
def test_thresholds_of_the_bundle(tmp_path, thresholds, arguments, found, scores):
    """The red half is a cat as surely as can be, the green one a dog at half the brightness."""
    pixels = make_image("red", "green")
    pixels[:, 24:] //= 2
    (tmp_path / "a.png").write_bytes(encode_image(pixels, "PNG"))
    bundle = push_small_bundle(tmp_path, thresholds=thresholds)
    result = run("--bundle", bundle, tmp_path / "a.png", "--out", tmp_path / "out", "--json", *arguments)

    record = json.loads(result.stdout)
    assert [seen["label"] for seen in record["images"][0]["detections"]] == found
    assert (record["min_score"], record.get("min_scores")) == scores


def test_exif_orientation_is_applied(bundle, tmp_path):
    # Stored upside down: the red half is at the right until the orientation is applied.
    (tmp_path / "a.jpg").write_bytes(encode_image(make_image("green", "red"), orientation=3))
    (result,) = detect_objects(DetectRequest(bundle, (tmp_path / "a.jpg",), tmp_path / "out")).images

    by_label = {seen.label: seen.box_xyxy_px for seen in result.objects}
    assert by_label["кошка"].x_min == pytest.approx(0, abs=0.5)
    with Image.open(tmp_path / "out" / "a.jpg") as picture:
        assert picture.getexif().get(0x0112) is None


def test_what_is_no_image_does_not_stop_the_others(bundle, images, tmp_path):
    (images / "b0.jpg").write_text("no image")
    (images / "empty.png").touch()
    (tmp_path / "no images").mkdir()
    result = run(
        "--bundle", bundle, images, tmp_path / "gone.jpg", tmp_path / "no images", "--out", tmp_path / "out"
    )  # fmt: skip

    assert result.exit_code == 2
    problems = [
        f"{tmp_path / 'gone.jpg'}: no such file or folder",
        f"{tmp_path / 'no images'}: no image found in this folder",
        f"{images / 'b0.jpg'}: not a readable JPEG",
        f"{images / 'empty.png'}: the file is empty",
    ]
    for problem in problems:
        assert f"error: {problem}" in result.stderr
    record = json.loads((tmp_path / "out" / "detections.json").read_text(encoding="utf-8"))
    assert [Path(image["image"]).name for image in record["images"]] == ["a.png", "b.jpeg"]
    assert len(record["problems"]) == 4


def test_names_that_are_not_utf_8_are_shown_escaped(bundle, tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    (folder / os.fsdecode(b"broken\xff.png")).write_text("no image")
    (folder / os.fsdecode(b"a\xff.png")).write_bytes(encode_image(make_image("red", "green"), "PNG"))
    result = run("--bundle", bundle, folder, "--out", tmp_path / "out")

    assert result.exit_code == 2
    record = json.loads((tmp_path / "out" / "detections.json").read_text(encoding="utf-8"))
    (image,), (problem,) = record["images"], record["problems"]
    assert image["image"] == rf"{tmp_path}/caf\xe9/a\xff.png"
    assert image["picture"] == "a\ufffd.png"
    assert (tmp_path / "out" / "a\ufffd.png").exists()
    assert problem.startswith(rf"{tmp_path}/caf\xe9/broken\xff.png: ")
    assert "\\udc" not in result.output


def test_picture_that_cannot_be_written_does_not_stop_the_others(bundle, images, tmp_path):
    out = tmp_path / "out"
    (out / "a.png").mkdir(parents=True)
    result = run("--bundle", bundle, images, "--out", out)

    assert result.exit_code == 2
    record = json.loads((out / "detections.json").read_text(encoding="utf-8"))
    assert [image["picture"] for image in record["images"]] == ["b.jpg"]
    assert record["problems"] == [f"{images / 'a.png'}: cannot write its picture {out / 'a.png'} (Is a directory)"]


def test_run_that_stops_early_leaves_no_earlier_result(bundle, images, tmp_path, monkeypatch):
    out = tmp_path / "out"
    run("--bundle", bundle, images, "--out", out)
    assert (out / "detections.json").exists()

    class StoppedError(Exception):
        pass

    def stop(*_):
        raise StoppedError("stopped")

    monkeypatch.setattr("reefline.inference.detect.detect_objects.draw_detections", stop)
    with pytest.raises(StoppedError, match="stopped"):
        detect_objects(DetectRequest(bundle, (images,), out))

    assert not (out / "detections.json").exists()


def test_no_image_at_all(bundle, tmp_path):
    result = run("--bundle", bundle, tmp_path / "gone.jpg", "--out", tmp_path / "out")

    assert result.exit_code == 2
    assert "no image could be used" in result.stdout
    assert json.loads((tmp_path / "out" / "detections.json").read_text())["median_latency_ms"] is None


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(
            lambda b: (b / "labels.txt").unlink(), "labels.txt: missing, but the manifest lists it", id="no-labels"
        ),
        pytest.param(lambda b: (b / "model_int8.tflite").write_bytes(b"x"), "1 bytes found", id="damaged-model"),
        pytest.param(lambda b: (b / MANIFEST_FILE).unlink(), "manifest.json: missing or unreadable", id="no-bundle"),
    ],
)
def test_damaged_bundle(tmp_path, images, damage, message):
    bundle = push_small_bundle(tmp_path)
    damage(bundle)
    result = run("--bundle", bundle, images, "--out", tmp_path / "out")

    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


def test_labels_that_are_not_the_models(tmp_path, images):
    bundle = push_small_bundle(tmp_path, ("cat", "dog", "fish"))
    result = run("--bundle", bundle, images, "--out", tmp_path / "out")

    assert result.exit_code == 2
    assert "2 classes in model_int8.tflite, 3 lines in labels.txt" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--min-score", "1.5"], "--min-score 1.5: expected a number from 0 to 1", id="score"),
        pytest.param(["--min-score", "nan"], "--min-score nan: expected a number from 0 to 1", id="score-nan"),
        pytest.param(["--device", "gpu"], "--device gpu: expected one of auto, cpu, edgetpu", id="device"),
        pytest.param(
            ["--device", "edgetpu"], "--device edgetpu: the bundle holds no compiled model", id="not-compiled"
        ),
    ],
)
def test_what_cannot_be_asked_for(bundle, images, tmp_path, arguments, message):
    result = run("--bundle", bundle, images, "--out", tmp_path / "out", *arguments)

    assert result.exit_code == 2
    assert message in result.stderr


def test_out_is_a_file(bundle, images, tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(UsageError, match="out: cannot write to it"):
        detect_objects(DetectRequest(bundle, (images,), tmp_path / "out"))


def test_picture_never_replaces_its_image(bundle, images):
    before = (images / "a.png").read_bytes()
    with pytest.raises(UsageError, match=r"a\.png would replace the image itself"):
        detect_objects(DetectRequest(bundle, (images / "a.png",), images))
    assert (images / "a.png").read_bytes() == before


def test_float_bundle(tmp_path, images):
    report = detect_objects(DetectRequest(push_small_bundle(tmp_path, quantized=False), (images,), tmp_path / "out"))

    assert report.runtime.model_file == "model_float.tflite"
    assert [len(image.objects) for image in report.images] == [2, 1]


def test_a_bundle_is_used_only_if_it_is_exact_and_signed(images, tmp_path):
    own = push_small_bundle(tmp_path / "own", LABELS)
    keys = write_key_pair(tmp_path / "keys")
    unsigned = run("--bundle", own, images, "--out", tmp_path / "out", "--public-key", keys.public)
    assert unsigned.exit_code == 2
    assert "manifest.json: not signed (manifest.json.sig is missing)" in unsigned.stderr
    content = (own / MANIFEST_FILE).read_bytes()
    (own / "manifest.json.sig").write_bytes(load_signer(str(keys.private))(content))
    assert run("--bundle", own, images, "--out", tmp_path / "out", "--public-key", keys.public).exit_code == 0
    (own / "model_int8_edgetpu.tflite").write_bytes(b"planted")
    planted = run("--bundle", own, images, "--out", tmp_path / "out")
    assert planted.exit_code == 2
    assert "model_int8_edgetpu.tflite: not in the manifest; delete it or push again" in planted.stderr
