"""Tiny real models and records for the tests of evaluation, gate and bundle."""

from __future__ import annotations

import functools
import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from reefline.bundle.export_record import ExportRecord
from reefline.bundle.manifest import BundleFacts
from reefline.edgetpu.record import EdgeTpuRecord, PlacementSource
from reefline.evaluation.report import EvaluationReport, GateResult
from reefline.evaluation.scores import ClassMetrics, CocoMetrics, Precision, Scores
from reefline.formats.tf_example import IngestedExample, IngestedObject
from reefline.structures.boxes import BoxXyxyPx
from reefline.structures.detections import Detections, GroundTruth, ScoredImage
from reefline.structures.split_detections import SplitDetections, SplitImage
from reefline.tflite.output_order import order_outputs


@dataclass(frozen=True)
class FakePlacement:
    """What the gate asks about the Edge TPU; None is damage."""

    compiled: bool = False
    ops_total: int | None = 100
    ops_on_tpu: int | None = 90


def make_metrics(value: float | None = 0.5, **overrides) -> CocoMetrics:
    """Return metrics that are all `value` but for the overrides."""
    names = ("map", "map_50", "map_75", "map_small", "map_medium", "map_large")
    names += ("ar_1", "ar_10", "ar_100", "ar_small", "ar_medium", "ar_large")
    numbers = dict.fromkeys(names, value)
    per_class = {"cat": ClassMetrics(value, value, 3), "dog": ClassMetrics(value, value, 4)}
    return CocoMetrics(**{**numbers, "per_class": per_class, **overrides})


METRICS = make_metrics()


def make_scores(shipped: CocoMetrics | None = METRICS, precision: Precision = Precision.INT8, **overrides) -> Scores:
    """Return the scores of a first run whose every number is 0.5."""
    values = {
        "float_model": METRICS,
        "int8": shipped if precision is Precision.INT8 else None,
        "float_tflite": shipped if precision is Precision.FLOAT else None,
        "baseline": None,
        "shipped_precision": precision,
        "baseline_version": 0,
    }
    return Scores(**{**values, **overrides})


def make_detections(*rows: tuple[float, float, float, float, int, float]) -> Detections:
    """Return detections from rows of x_min, y_min, x_max, y_max, class index, score."""
    table = np.asarray(rows, dtype=np.float64).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4].astype(np.int64), table[:, 5])


def make_ground_truth(*rows: tuple[float, float, float, float, int]) -> GroundTruth:
    """Return ground truth from rows of x_min, y_min, x_max, y_max, class index."""
    table = np.asarray(rows, dtype=np.float64).reshape(-1, 5)
    return GroundTruth(table[:, :4], table[:, 4].astype(np.int64))


def make_scored_image(ground_truth=(), detections=()) -> ScoredImage:
    """Return one image from rows of ground truth and of detections."""
    return ScoredImage(make_ground_truth(*ground_truth), make_detections(*detections))


def make_random_images(seed: int, count: int = 20, class_count: int = 3) -> list[ScoredImage]:
    """Return images with objects, near misses, duplicates and strays, some with nothing; scores have two decimals.

    Boxes lie on whole pixels, so that float32 and float64 agree on them, and at least 20 px a side.
    """
    random = np.random.default_rng(seed)

    def boxes(rows: int) -> np.ndarray:
        corner = random.integers(0, 400, (rows, 2))
        return np.hstack([corner, corner + random.integers(40, 120, (rows, 2))]).astype(np.float64)

    images = []
    for _ in range(count):
        truth = boxes(int(random.integers(0, 8)))
        classes = random.integers(0, class_count, len(truth))
        near = random.integers(0, len(truth), 2 * len(truth)) if len(truth) else np.zeros(0, dtype=np.int64)
        seen = np.vstack([truth[near] + random.integers(-10, 11, (len(near), 4)), boxes(int(random.integers(0, 6)))])
        guesses = random.integers(0, class_count, len(seen))
        guesses[: len(near)] = np.where(random.random(len(near)) < 0.7, classes[near], guesses[: len(near)])
        scores = random.integers(1, 100, len(seen)) / 100
        images.append(ScoredImage(GroundTruth(truth, classes), Detections(seen, guesses, scores)))
    return images


def make_split_detections(
    images: Sequence[ScoredImage], class_names: Sequence[str] = ("cat", "dog"), models: Sequence[str] = ("shipped",)
) -> SplitDetections:
    """Return a split whose models all detected the same; its images are 0.jpg, 1.jpg and so on, of 640 x 480."""
    return SplitDetections(
        class_names=tuple(class_names),
        images=tuple(SplitImage(f"{index}.jpg", 640, 480) for index in range(len(images))),
        ground_truth=tuple(image.ground_truth for image in images),
        detections={model: tuple(image.detections for image in images) for model in models},
    )


# The models below know two anchors: the left half of the image and the right half. Class 0 lights up where a half's
# top left pixel is red, class 1 where it is green. That is enough to see any mix-up of axes, offsets or outputs.
ANCHORS_YXHW = np.array([[0.5, 0.25, 1.0, 0.5], [0.5, 0.75, 1.0, 0.5]], dtype=np.float32)
LEFT_YXYX = (0.0, 0.0, 1.0, 0.5)
RIGHT_YXYX = (0.0, 0.5, 1.0, 1.0)


def write_saved_model(directory: Path) -> None:
    """Write a SavedModel of the OD API's image_tensor form: uint8 [1, h, w, 3] in, 1-based classes out."""
    import tensorflow as tf

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([1, None, None, 3], tf.uint8, name="input_tensor")])
        def serve(self, input_tensor):
            pixels = _corner_pixels(tf, tf.cast(input_tensor, tf.float32)) / 255.0
            scores = pixels[0, :, :2]
            return {
                "detection_boxes": tf.constant([[LEFT_YXYX, RIGHT_YXYX]], tf.float32),
                "detection_classes": tf.cast(tf.argmax(scores, axis=1), tf.float32)[tf.newaxis] + 1.0,
                "detection_scores": tf.reduce_max(scores, axis=1)[tf.newaxis],
                "num_detections": tf.constant([2.0]),
            }

    module = Module()
    tf.saved_model.save(module, str(directory), signatures=module.serve)


def build_tflite(
    num_classes: int = 2, quantized: bool = True, size_px: tuple[int, int] = (8, 16), *, old_order: bool = False
) -> bytes:
    """Return a TFLite detector with a real TFLite_Detection_PostProcess.

    With `old_order` its outputs are scores, boxes, count, classes: the converter's order, which older bundles have.
    """
    converted = _build_tflite(num_classes, quantized, size_px)
    return converted if old_order else order_outputs(converted)


@functools.lru_cache
def _build_tflite(num_classes: int, quantized: bool, size_px: tuple[int, int]) -> bytes:
    import tensorflow as tf

    implements = (
        'name: "TFLite_Detection_PostProcess" attr { key: "max_detections" value { i: 4 } } '
        'attr { key: "max_classes_per_detection" value { i: 1 } } attr { key: "use_regular_nms" value { b: false } } '
        'attr { key: "nms_score_threshold" value { f: 0.200000 } } '
        'attr { key: "nms_iou_threshold" value { f: 0.600000 } } '
        'attr { key: "y_scale" value { f: 10.0 } } attr { key: "x_scale" value { f: 10.0 } } '
        'attr { key: "h_scale" value { f: 5.0 } } attr { key: "w_scale" value { f: 5.0 } } '
        f'attr {{ key: "num_classes" value {{ i: {num_classes} }} }}'
    )

    @tf.function(experimental_implements=implements)
    def postprocess(encodings, predictions, anchors):
        return tuple(tf.constant(0.0, name=name) for name in ("boxes", "classes", "scores", "count"))

    height, width = size_px

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([1, height, width, 3], tf.float32, name="input")])
        def serve(self, image):
            pixels = _corner_pixels(tf, image) / 255.0
            colours = pixels[:, :, :2]
            others = tf.zeros([1, 2, max(0, num_classes - 2)])
            # The operator takes column 0 as the background.
            predictions = tf.concat([tf.zeros([1, 2, 1]), colours[:, :, :num_classes], others], axis=2)
            encodings = tf.zeros([1, 2, 4]) + 0.0 * tf.reduce_sum(image)
            return postprocess(encodings, predictions, tf.constant(ANCHORS_YXHW))[::-1]

    with tempfile.TemporaryDirectory() as scratch:
        module = Module()
        tf.saved_model.save(module, scratch, signatures=module.serve)
        converter = tf.lite.TFLiteConverter.from_saved_model(scratch)
        converter.allow_custom_ops = True
        if quantized:
            _quantize(tf, converter, size_px)
        return converter.convert()


def _quantize(tf, converter, size_px):
    def representative():
        generator = np.random.default_rng(0)
        for _ in range(4):
            image = generator.integers(0, 256, (1, *size_px, 3)).astype(np.float32)
            image[0, 0, 0], image[0, 0, size_px[1] // 2] = 0.0, 255.0
            yield [image]

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.float32


def _corner_pixels(tf, image):
    """Return the top left pixel of the left half and of the right half: [1, 2, 3]."""
    middle = tf.shape(image)[2] // 2
    return tf.stack([image[:, 0, 0, :], image[:, 0, middle, :]], axis=1)


def make_image(left: str, right: str, height_px: int = 24, width_px: int = 48) -> np.ndarray:
    """Return an RGB image whose halves are "red", "green" or "black"."""
    colours = {"red": (255, 0, 0), "green": (0, 255, 0), "black": (0, 0, 0)}
    image = np.zeros((height_px, width_px, 3), np.uint8)
    image[:, : width_px // 2] = colours[left]
    image[:, width_px // 2 :] = colours[right]
    return image


def make_edgetpu_record(**overrides) -> EdgeTpuRecord:
    """Return the record of a model that was not compiled."""
    values = {
        "compiled": False,
        "compiler_version": None,
        "source": PlacementSource.PREDICTION,
        "ops_total": 10,
        "ops_on_tpu": 9,
        "ops_on_cpu": 1,
        "ops_uncertain": 0,
        "reason": "edgetpu_compiler is not installed",
    }
    return EdgeTpuRecord(**{**values, **overrides})


def make_facts(**overrides) -> BundleFacts:
    """Return the facts of a blessed first candidate."""
    values = {
        "model": "detector",
        "run_id": "run-1",
        "height_px": 8,
        "width_px": 16,
        "classes": ("cat", "dog"),
        "evaluation": EvaluationReport(make_scores(), (GateResult("min_map", 0.5, 0.4, True, "enough"),)),
        "edgetpu": make_edgetpu_record(),
        "data_fingerprint": "f" * 64,
        "checkpoint": "runs/1/best/ckpt-7",
    }
    return BundleFacts(**{**values, **overrides})


def write_candidate(
    directory: Path, content: bytes = b"model", labels=("cat", "dog"), name="model_int8.tflite"
) -> Path:
    """Write a candidate's files, whose TFLite file holds `content`, and return the folder."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(content)
    (directory / "labels.txt").write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
    ExportRecord(8, 16, tuple(labels), make_edgetpu_record(), 0).write(directory / "export.json")
    return directory


def write_eval_split(directory: Path, label_map=("cat", "dog"), images=(("red", "green"), ("green", "red"))) -> None:
    """Write Split-eval/ and label_map.pbtxt: images whose red halves hold class 0 and green halves class 1."""
    from reefline.formats.tf_example import write_examples
    from reefline.od_api.label_map_file import write_label_map
    from reefline.structures.label_map import LabelMap

    split = directory / "Split-eval"
    split.mkdir(parents=True)
    examples = [make_example(number, left, right, label_map) for number, (left, right) in enumerate(images)]
    write_examples(split / "data_tfrecord-00000-of-00001.gz", examples)
    write_label_map(directory / "label_map.pbtxt", LabelMap(tuple(label_map)))


def make_example(number: int, left: str, right: str, label_map=("cat", "dog")) -> IngestedExample:
    """Return an ingested image of the given halves with the boxes that belong to them."""
    buffer = io.BytesIO()
    Image.fromarray(make_image(left, right)).save(buffer, "JPEG", quality=100, subsampling=0)
    halves = ((left, BoxXyxyPx(0, 0, 24, 24)), (right, BoxXyxyPx(24, 0, 48, 24)))
    objects = [(("red", "green").index(colour), box) for colour, box in halves if colour != "black"]
    return IngestedExample(
        source_id=str(number),
        filename=f"{number}.jpg",
        encoded_jpeg=buffer.getvalue(),
        width_px=48,
        height_px=24,
        objects=tuple(IngestedObject(box, index + 1, label_map[index]) for index, box in objects),
    )


def write_model(directory: Path, quantized: bool = True, size_px: tuple[int, int] = (8, 16)) -> Path:
    """Write what EdgeTpuExporter leaves, with real models: saved_model/ and bundle/. Return the folder."""
    write_saved_model(directory / "saved_model")
    name = "model_int8.tflite" if quantized else "model_float.tflite"
    write_candidate(directory / "bundle", build_tflite(quantized=quantized, size_px=size_px), name=name)
    return directory
