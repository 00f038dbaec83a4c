import hashlib
from pathlib import Path

import numpy as np
import pytest

from reefline.errors import BundleError, DownloadError, UsageError
from reefline.inference.saved_model_detector import SavedModelDetector
from reefline.labelling import opening
from reefline.labelling.box_source import BoxSource
from reefline.labelling.opening import open_box_source
from reefline.structures.coco_labels import COCO_LABELS
from reefline.tflite.metadata import add_metadata, find_normalization
from reefline.training.start_files import StartCache
from tests.factories_detect import push_small_bundle
from tests.factories_evaluation import build_tflite, make_image, write_saved_model

ROLES = ("location", "category", "score", "number of detections")
IMAGE = make_image("red", "green")


def _see(source: BoxSource, *images: np.ndarray) -> list[list[tuple[str | None, list[float]]]]:
    """Return the class and box of each sure detection in each image, from left to right."""
    found = []
    for seen in source.detect_all(images or (IMAGE,)):
        rows = zip(seen.class_indices.tolist(), seen.boxes_xyxy_px.round().tolist(), seen.scores.tolist(), strict=True)
        named = [(source.labels[index] if source.labels else None, box) for index, box, score in rows if score > 0.5]
        found.append(sorted(named, key=lambda each: each[1]))
    return found


HALVES = [("cat", [0.0, 0.0, 24.0, 24.0]), ("dog", [24.0, 0.0, 48.0, 24.0])]


@pytest.mark.parametrize("quantized", [True, False], ids=["uint8", "float"])
@pytest.mark.parametrize("old_order", [True, False], ids=["converter's order", "usual order"])
def test_a_tflite_file_with_labels_inside(tmp_path: Path, quantized: bool, old_order: bool) -> None:
    model = build_tflite(quantized=quantized, old_order=old_order)
    (tmp_path / "m.tflite").write_bytes(add_metadata(model, "m", ("cat", "dog"), ROLES))
    source = open_box_source(str(tmp_path / "m.tflite"))
    assert (source.name, source.labels, source.batch_size) == ("m.tflite", ("cat", "dog"), 1)
    assert _see(source) == [HALVES]


def test_a_label_map_comes_before_what_the_model_says(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(build_tflite())
    (tmp_path / "names.txt").write_text("???\nleft\nright\n")
    assert open_box_source(str(tmp_path / "m.tflite")).labels == ()
    assert open_box_source(str(tmp_path / "m.tflite"), str(tmp_path / "names.txt")).labels == ("left", "right")


def test_a_model_of_90_classes_has_cocos_names(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(build_tflite(90))
    assert open_box_source(str(tmp_path / "m.tflite")).labels == COCO_LABELS


def test_pixels_of_a_float_model_are_scaled_as_its_metadata_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = add_metadata(build_tflite(quantized=False), "m", ("cat", "dog"), ROLES)
    assert find_normalization(model) == (0.0, 1.0)
    assert find_normalization(build_tflite()) is None
    (tmp_path / "m.tflite").write_bytes(model)
    # Whatever is red 255 becomes 128, and its score half.
    monkeypatch.setattr(opening, "find_normalization", lambda _: (-1.0, 2.0))
    (seen,) = open_box_source(str(tmp_path / "m.tflite")).detect_all([IMAGE])
    assert seen.scores.max() == pytest.approx(0.5, abs=0.01)


def test_a_model_s_folder_stands_for_the_version_that_serves(tmp_path: Path) -> None:
    bundle = push_small_bundle(tmp_path)
    assert open_box_source(str(bundle.parent)).labels == open_box_source(str(bundle)).labels


def test_a_bundle_brings_its_labels_and_thresholds(tmp_path: Path) -> None:
    bundle = push_small_bundle(tmp_path, thresholds={"cat": 0.7, "dog": None})
    source = open_box_source(str(bundle))
    assert (source.name, source.labels) == ("detector version 1", ("cat", "dog"))
    assert (source.min_score_of("cat"), source.min_score_of("dog")) == (0.7, 0.3)
    assert _see(source) == [HALVES]


def test_a_saved_model_has_labels_next_to_it(tmp_path: Path) -> None:
    write_saved_model(tmp_path / "net" / "saved_model")
    (tmp_path / "net" / "labels.txt").write_text("cat\ndog\n")
    source = open_box_source(str(tmp_path / "net"))
    assert (source.name, source.batch_size) == ("net", 1)
    assert _see(source, IMAGE, make_image("green", "red")) == [
        HALVES,
        [("dog", HALVES[0][1]), ("cat", HALVES[1][1])],
    ]


def test_images_of_one_size_run_in_batches(tmp_path: Path) -> None:
    import tensorflow as tf

    sizes = []

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])
        def serve(self, images):
            count = tf.shape(images)[0]
            score = tf.cast(images[:, 0, 0, 0], tf.float32)[:, tf.newaxis] / 255.0
            return {
                "detection_boxes": tf.tile([[[0.0, 0.0, 1.0, 1.0]]], [count, 1, 1]),
                "detection_classes": tf.ones([count, 1]),
                "detection_scores": score,
                "num_detections": tf.ones([count]),
                "raw_detection_scores": tf.zeros([count, 5, 91]),
            }

    module = Module()
    tf.saved_model.save(module, str(tmp_path / "m"), signatures=module.serve)
    source = open_box_source(str(tmp_path / "m"))
    assert (source.batch_size, source.labels) == (8, COCO_LABELS)
    images = [np.full((4, 6 if number % 2 else 8, 3), number, np.uint8) for number in range(20)]
    detect = source.detect
    counting = BoxSource("", "", (), 8, lambda batch: sizes.append(len(batch)) or detect(batch))
    found = counting.detect_all(images)
    assert [round(float(each.scores[0]) * 255) for each in found] == list(range(20))
    assert sizes == [8, 2, 8, 2]


def test_a_fixed_batch_is_filled(tmp_path: Path) -> None:
    import tensorflow as tf

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([4, None, None, 3], tf.uint8)])
        def serve(self, images):
            return {
                "detection_boxes": tf.ones([4, 1, 4]),
                "detection_classes": tf.ones([4, 1]),
                "detection_scores": tf.cast(images[:, 0, 0, :1], tf.float32) / 255.0,
                "num_detections": tf.ones([4]),
            }

    module = Module()
    tf.saved_model.save(module, str(tmp_path / "m"), signatures=module.serve)
    source = open_box_source(str(tmp_path / "m"))
    found = source.detect_all([np.full((4, 8, 3), number, np.uint8) for number in range(6)])
    assert source.batch_size == 4
    assert [round(float(each.scores[0]) * 255) for each in found] == list(range(6))


def test_a_saved_model_for_other_input_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([1, 8, 8, 3], tf.float32)])
        def floats(self, images):
            return {"detection_boxes": images}

        @tf.function(input_signature=[tf.TensorSpec([1, 8, 8, 3], tf.uint8)])
        def classifier(self, images):
            return {"logits": images}

    module = Module()
    tf.saved_model.save(module, str(tmp_path / "a"), signatures=module.floats)
    tf.saved_model.save(module, str(tmp_path / "b"), signatures=module.classifier)
    with pytest.raises(BundleError, match=r"of float32 found, images \[batch, height, width, 3\] of uint8 expected"):
        SavedModelDetector(tmp_path / "a")
    with pytest.raises(BundleError, match="no output detection_boxes, detection_classes"):
        SavedModelDetector(tmp_path / "b")


@pytest.fixture
def pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Pin a model of 90 classes as the default's published weights, and return its sha256."""
    sha256 = hashlib.sha256(build_tflite(90)).hexdigest()
    template = opening.load_template(opening.DEFAULT_MODEL)
    from dataclasses import replace

    published = replace(template.published, url="http://127.0.0.1:9/detect.tflite", sha256=sha256)
    monkeypatch.setattr(
        opening,
        "load_template",
        lambda name: replace(template, name=name, published=published if name == template.name else None),
    )
    monkeypatch.setattr(opening, "StartCache", lambda: StartCache(tmp_path / "cache", None, (tmp_path / "models",)))
    return sha256


def test_the_default_is_the_published_coco_model(tmp_path: Path, pinned: str) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "any name.tflite").write_bytes(build_tflite(90))
    source = open_box_source(None)
    assert (source.name, source.labels) == ("ssd_mobilenet_v1_300, COCO 2017 (90 classes)", COCO_LABELS)
    assert source.identity == pinned


def test_without_network_the_message_says_where_to_put_the_file(pinned: str) -> None:
    with pytest.raises(
        DownloadError, match=rf"--model ssd_mobilenet_v1_300: .*put the file with sha256 {pinned} into .*models, under"
    ):
        open_box_source(None)


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("missing", r"--model .*missing: not found; expected a \.tflite detector, .*classes: ssd_mobilenet_v1_300"),
        ("folder", "folder: holds no model; expected"),
        ("text.tflite", r"text\.tflite: not a TFLite file"),
        ("ssd_mobilenet_v2_320", "its published weights are no detector; use one of ssd_mobilenet_v1_300"),
    ],
    ids=["missing", "empty folder", "text", "classifier"],
)
def test_what_is_no_detector_is_refused(tmp_path: Path, model: str, problem: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.tflite").write_text("no model at all")
    with pytest.raises(UsageError, match=problem):
        open_box_source(model if model.startswith("ssd") else str(tmp_path / model))
