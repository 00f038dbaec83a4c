"""Measuring the candidate and the serving model on the eval split."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from PIL import Image

from reefline.bundle.label_check import check_bundle_labels, check_example_labels
from reefline.bundle.layout import find_shipped_model, precision_of, read_labels
from reefline.errors import BundleError, DataError
from reefline.evaluation.coco_metrics import compute_metrics
from reefline.evaluation.scores import Precision, Scores
from reefline.formats.tf_example import IngestedExample, read_examples
from reefline.images.thumbnails import ThumbnailWriter
from reefline.inference.detector import Detector, TfliteDetector
from reefline.inference.saved_model_detector import SavedModelDetector
from reefline.od_api.label_map_file import read_label_map
from reefline.structures.detections import Detections, GroundTruth
from reefline.structures.label_map import LabelMap
from reefline.structures.split_detections import BASELINE, FLOAT, SHIPPED, SplitDetections, SplitImage

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_PROGRESS_EVERY_S = 10.0
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoringInputs:
    """The models to measure, and the images.

    `records` are the eval split's TFRecord files, `saved_model` and `candidate` the candidate's SavedModel and bundle,
    `baseline` the serving bundle in version `baseline_version`; None and 0 where none serves.
    """

    records: tuple[Path, ...]
    label_map: Path
    saved_model: Path
    candidate: Path
    baseline: Optional[Path] = None
    baseline_version: int = 0


@dataclass(frozen=True)
class _RenamingDetector:
    """A detector with another label map's class indices; classes that map to None are left out."""

    detector: Detector
    index_of: tuple[Optional[int], ...]

    def detect(self, image_rgb: npt.NDArray[np.uint8]) -> Detections:
        """Return the detections, with the other label map's indices."""
        import numpy as np

        seen = self.detector.detect(image_rgb)
        renamed = np.array([-1 if index is None else index for index in self.index_of], dtype=np.int64)
        indices = renamed[seen.class_indices]
        kept = indices >= 0
        return Detections(seen.boxes_xyxy_px[kept], indices[kept], seen.scores[kept])


@dataclass(frozen=True, eq=False)
class ScoredSplit:
    """The metrics of all models, and the detections that they were computed from."""

    scores: Scores
    detections: SplitDetections


def score_models(inputs: ScoringInputs, thumbnails: Path) -> ScoredSplit:
    """Measure the float SavedModel, the shipped TFLite model and the serving one.

    All models see the same decoded images, in one pass over the split; one image is held at a time. A thumbnail of each
    is written to the file `thumbnails`.

    Raises:
        BundleError: a model is missing or damaged, or its classes are not the label map's.
        DataError: the split holds no image, an image cannot be decoded, or a class id is not in the label map.
    """
    label_map = read_label_map(inputs.label_map)
    shipped = find_shipped_model(inputs.candidate)
    models = {name: _TimedModel(detector) for name, detector in _load_detectors(inputs, label_map, shipped).items()}
    with ThumbnailWriter(thumbnails) as writer:
        detections = _detect_all(inputs.records, label_map, models, writer)
    metrics = {name: compute_metrics(detections.scored(name), label_map.names) for name in models}
    for name, result in metrics.items():
        _logger.info("%s: mAP %s, mAP_50 %s", name, _show(result.map), _show(result.map_50))
    precision = precision_of(shipped)
    scores = Scores(
        float_model=metrics[FLOAT],
        int8=metrics[SHIPPED] if precision is Precision.INT8 else None,
        float_tflite=metrics[SHIPPED] if precision is Precision.FLOAT else None,
        baseline=metrics.get(BASELINE),
        shipped_precision=precision,
        baseline_version=inputs.baseline_version,
        milliseconds={name: model.median_ms for name, model in models.items()},
    )
    return ScoredSplit(scores, detections)


def _load_detectors(inputs: ScoringInputs, label_map: LabelMap, shipped: Path) -> dict[str, Detector]:
    shipped_detector = TfliteDetector(shipped)
    check_bundle_labels(label_map, read_labels(inputs.candidate), shipped_detector.num_classes)
    detectors: dict[str, Detector] = {FLOAT: SavedModelDetector(inputs.saved_model), SHIPPED: shipped_detector}
    if inputs.baseline is not None:
        detectors[BASELINE] = _load_baseline(inputs.baseline, label_map)
    return detectors


def _load_baseline(bundle: Path, label_map: LabelMap) -> Detector:
    """Load the serving model; classes are matched by name, as its label map may differ."""
    detector, labels = TfliteDetector(find_shipped_model(bundle)), read_labels(bundle)
    if detector.num_classes != len(labels):
        raise BundleError(
            f"{bundle}: {detector.num_classes} classes in the TFLite model, {len(labels)} lines in labels.txt; "
            "roll back to an intact bundle"
        )
    ids = label_map.ids_by_name()
    return _RenamingDetector(detector, tuple(ids[name] - 1 if name in ids else None for name in labels))


class _TimedModel:
    """A detector, what it detected in each image so far, and how long each took."""

    def __init__(self, detector: Detector) -> None:
        self.detections: list[Detections] = []
        self._detector = detector
        self._seconds: list[float] = []

    def detect(self, image_rgb: npt.NDArray[np.uint8]) -> None:
        started_s = time.perf_counter()
        self.detections.append(self._detector.detect(image_rgb))
        self._seconds.append(time.perf_counter() - started_s)

    @property
    def median_ms(self) -> float:
        return round(1000 * statistics.median(self._seconds), 3)


def _detect_all(
    records: Sequence[Path], label_map: LabelMap, models: Mapping[str, _TimedModel], thumbnails: ThumbnailWriter
) -> SplitDetections:
    images: list[SplitImage] = []
    truth: list[GroundTruth] = []
    told_s = time.monotonic()
    for example in _checked_examples(records, label_map):
        image_rgb = _decode_image(example)
        thumbnails.add(example.filename, Image.fromarray(image_rgb))
        for model in models.values():
            model.detect(image_rgb)
        images.append(SplitImage(example.filename, example.width_px, example.height_px))
        truth.append(
            GroundTruth.from_boxes(
                [item.box_xyxy_px for item in example.objects], [item.class_id for item in example.objects]
            )
        )
        if time.monotonic() - told_s >= _PROGRESS_EVERY_S:
            told_s = time.monotonic()
            _logger.info("%d images scored by %d models", len(images), len(models))
    if not images:
        raise DataError("eval split: no image found; add images or raise data.eval_fraction")
    _logger.info("%d images scored by %d models: %s", len(images), len(models), ", ".join(models))
    detections = {name: tuple(model.detections) for name, model in models.items()}
    return SplitDetections(label_map.names, tuple(images), tuple(truth), detections)


def _checked_examples(records: Sequence[Path], label_map: LabelMap) -> Iterator[IngestedExample]:
    for example in read_examples(records):
        check_example_labels(label_map, [example])
        yield example


def _decode_image(example: IngestedExample) -> npt.NDArray[np.uint8]:
    """Return the pixels as training saw them: the OD API decodes with TensorFlow as well."""
    import tensorflow as tf

    try:
        image: npt.NDArray[np.uint8] = tf.io.decode_jpeg(example.encoded_jpeg, channels=3).numpy()
    except tf.errors.InvalidArgumentError as error:
        raise DataError(f"{example.filename}: cannot decode the JPEG; ingest the images again") from error
    return image


def _show(value: Optional[float]) -> str:
    return "unknown" if value is None else f"{value:.4f}"
