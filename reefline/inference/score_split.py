"""Measuring the candidate and the serving model on the eval split."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from reefline.bundle.label_check import check_bundle_labels, check_example_labels
from reefline.bundle.layout import find_shipped_model, precision_of, read_labels
from reefline.errors import BundleError, DataError
from reefline.evaluation.coco_metrics import compute_metrics
from reefline.evaluation.scores import Precision, Scores
from reefline.formats.tf_example import IngestedExample, read_examples
from reefline.inference.detector import Detector, SavedModelDetector, TfliteDetector
from reefline.od_api.label_map_file import read_label_map
from reefline.structures.detections import Detections, GroundTruth, ScoredImage
from reefline.structures.label_map import LabelMap

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_FLOAT, _SHIPPED, _BASELINE = "float", "shipped", "baseline"
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


def score_models(inputs: ScoringInputs) -> Scores:
    """Return the metrics of the float SavedModel, the shipped TFLite model and the serving one.

    All models see the same decoded images, in one pass over the split; one image is held at a time.

    Raises:
        BundleError: a model is missing or damaged, or its classes are not the label map's.
        DataError: the split holds no image, an image cannot be decoded, or a class id is not in the label map.
    """
    label_map = read_label_map(inputs.label_map)
    shipped = find_shipped_model(inputs.candidate)
    detectors = _load_detectors(inputs, label_map, shipped)
    images = _detect_all(inputs.records, label_map, detectors)
    metrics = {name: compute_metrics(scored, label_map.names) for name, scored in images.items()}
    for name, result in metrics.items():
        _logger.info("%s: mAP %s, mAP_50 %s", name, _show(result.map), _show(result.map_50))
    precision = precision_of(shipped)
    return Scores(
        float_model=metrics[_FLOAT],
        int8=metrics[_SHIPPED] if precision is Precision.INT8 else None,
        float_tflite=metrics[_SHIPPED] if precision is Precision.FLOAT else None,
        baseline=metrics.get(_BASELINE),
        shipped_precision=precision,
        baseline_version=inputs.baseline_version,
    )


def _load_detectors(inputs: ScoringInputs, label_map: LabelMap, shipped: Path) -> dict[str, Detector]:
    shipped_detector = TfliteDetector(shipped)
    check_bundle_labels(label_map, read_labels(inputs.candidate), shipped_detector.num_classes)
    detectors: dict[str, Detector] = {_FLOAT: SavedModelDetector(inputs.saved_model), _SHIPPED: shipped_detector}
    if inputs.baseline is not None:
        detectors[_BASELINE] = _load_baseline(inputs.baseline, label_map)
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


def _detect_all(
    records: Sequence[Path], label_map: LabelMap, detectors: Mapping[str, Detector]
) -> dict[str, list[ScoredImage]]:
    images: dict[str, list[ScoredImage]] = {name: [] for name in detectors}
    count, told_s = 0, time.monotonic()
    for example in _checked_examples(records, label_map):
        image_rgb = _decode_image(example)
        truth = GroundTruth.from_boxes(
            [item.box_xyxy_px for item in example.objects], [item.class_id for item in example.objects]
        )
        for name, detector in detectors.items():
            images[name].append(ScoredImage(truth, detector.detect(image_rgb)))
        count += 1
        if time.monotonic() - told_s >= _PROGRESS_EVERY_S:
            told_s = time.monotonic()
            _logger.info("%d images scored by %d models", count, len(detectors))
    if not count:
        raise DataError("eval split: no image found; add images or raise data.eval_fraction")
    _logger.info("%d images scored by %d models: %s", count, len(detectors), ", ".join(detectors))
    return images


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
