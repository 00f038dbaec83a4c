"""Confusion matrices with background: which class was detected as which, missed, or seen where nothing is.

Source of the rules: supervision's ConfusionMatrix, and Ultralytics'. Pairs of an object and a detection whose IoU is
above the threshold are matched greedily, those of the same class first, then by IoU.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from reefline.evaluation.matching import FOUND_IOU, compute_ious

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from reefline.structures.detections import ScoredImage

THRESHOLDS = tuple(percent / 100 for percent in range(5, 100, 5))


class ConfusionOverThresholds(NamedTuple):
    """One matrix per confidence threshold: `counts` is int64 of shape [thresholds, C + 1, C + 1]."""

    thresholds: tuple[float, ...]
    counts: npt.NDArray[np.int64]


def count_confusion(
    images: Iterable[ScoredImage], class_count: int, min_score: float, iou: float = FOUND_IOU
) -> npt.NDArray[np.int64]:
    """Return how often each class was detected as each, int64 of shape [C + 1, C + 1].

    Rows are the true class, the last one background: detections where no object is. Columns are the detected class, the
    last one missed objects. Detections with a score below `min_score` do not count; an IoU of exactly `iou` is no
    match.
    """
    return _count(images, class_count, (min_score,), iou)[0]


def confusion_over_thresholds(
    images: Iterable[ScoredImage], class_count: int, thresholds: Sequence[float] = THRESHOLDS, iou: float = FOUND_IOU
) -> ConfusionOverThresholds:
    """Return the matrix of `count_confusion` at each confidence threshold, by default 0.05 to 0.95."""
    return ConfusionOverThresholds(tuple(thresholds), _count(images, class_count, thresholds, iou))


def _count(
    images: Iterable[ScoredImage], class_count: int, thresholds: Sequence[float], iou: float
) -> npt.NDArray[np.int64]:
    import numpy as np

    counts = np.zeros((len(thresholds), class_count + 1, class_count + 1), dtype=np.int64)
    for image in images:
        truth, seen = image.ground_truth.class_indices, image.detections.class_indices
        pairs = _order_pairs(image, iou)
        for matrix, threshold in zip(counts, thresholds, strict=True):
            is_counted = image.detections.scores >= threshold
            matched = _match_greedily([pair for pair in pairs if is_counted[pair[1]]])
            rows, columns = truth.copy(), np.full(len(truth), class_count)
            for object_index, detection_index in matched:
                columns[object_index] = seen[detection_index]
                is_counted[detection_index] = False
            np.add.at(matrix, (rows, columns), 1)
            matrix[class_count] += np.bincount(seen[is_counted], minlength=class_count + 1)
    return counts


def _order_pairs(image: ScoredImage, iou: float) -> list[tuple[int, int]]:
    """Return the pairs of object and detection that may match, in the order in which they are matched."""
    import numpy as np

    ious = compute_ious(image.ground_truth.boxes_xyxy_px, image.detections.boxes_xyxy_px)
    objects, detections = np.nonzero(ious > iou)
    differs = image.ground_truth.class_indices[objects] != image.detections.class_indices[detections]
    order = np.lexsort((-ious[objects, detections], differs))
    return list(zip(objects[order].tolist(), detections[order].tolist(), strict=True))


def _match_greedily(pairs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    objects: set[int] = set()
    detections: set[int] = set()
    matched = []
    for object_index, detection_index in pairs:
        if object_index not in objects and detection_index not in detections:
            objects.add(object_index)
            detections.add(detection_index)
            matched.append((object_index, detection_index))
    return matched
