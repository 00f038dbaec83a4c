"""Precision, recall and F1 of each class at IoU 0.5, and the confidence threshold that suits it best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reefline.evaluation.matching import match_images

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from reefline.structures.detections import ScoredImage

_RECALL_POINTS = 101


@dataclass(frozen=True, eq=False)
class ClassCurve:
    """How well a model finds the objects of one class at IoU 0.5; all arrays are float64 of 0..1.

    `precision_at_recall` is COCO's interpolated precision at its 101 `recall_points`. `precision`, `recall` and `f1`
    are what detections with a score of at least `confidences` reach; confidences rise and are distinct.
    `best_confidence` is the one with the highest F1, `best_f1`; of equals the highest. It is None where no detection is
    correct. Without ground truth `best_f1` is None as well, and all arrays but `recall_points` are empty.
    """

    label: str
    recall_points: npt.NDArray[np.float64]
    precision_at_recall: npt.NDArray[np.float64]
    confidences: npt.NDArray[np.float64]
    precision: npt.NDArray[np.float64]
    recall: npt.NDArray[np.float64]
    f1: npt.NDArray[np.float64]
    best_confidence: float | None
    best_f1: float | None


@dataclass(frozen=True, eq=False)
class RankedDetections:
    """The detections of one class in all images, best score first: whether each found an object of `total`."""

    scores: npt.NDArray[np.float64]
    is_correct: npt.NDArray[np.bool_]
    total: int

    def precision_and_recall(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return precision and recall after each detection; `total` must not be 0."""
        import numpy as np

        correct = np.cumsum(self.is_correct, dtype=np.float64)
        return correct / np.arange(1, len(correct) + 1), correct / self.total

    def precision_at_recall(self) -> npt.NDArray[np.float64]:
        """Return COCO's precision at each of its recall points; `total` must not be 0.

        Source of the formula: pycocotools' COCOeval.accumulate. The mean is COCO's average precision.
        """
        import numpy as np

        precision, recall = self.precision_and_recall()
        # The highest precision at this recall or a higher one; 0 beyond the highest recall.
        envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
        at_recall: npt.NDArray[np.float64] = envelope[np.searchsorted(recall, recall_points(), side="left")]
        return at_recall


def recall_points() -> npt.NDArray[np.float64]:
    """Return the 101 recalls at which COCO reads precision."""
    import numpy as np

    return np.linspace(0.0, 1.0, _RECALL_POINTS)


def compute_curves(images: Sequence[ScoredImage], class_names: Sequence[str]) -> tuple[ClassCurve, ...]:
    """Return one curve per class, in the order of `class_names`.

    No image, no ground truth and no detection are all valid; equal scores count together.
    """
    import numpy as np

    matches = match_images(images)
    scores = _join([image.detections.scores[match.rows] for image, match in zip(images, matches, strict=True)])
    classes = _join([image.detections.class_indices[match.rows] for image, match in zip(images, matches, strict=True)])
    is_correct = _join([match.found >= 0 for match in matches])
    truth = _join([image.ground_truth.class_indices for image in images])
    # pycocotools sorts the joined detections of all images stably as well.
    order = np.argsort(-scores, kind="stable")
    scores, classes, is_correct = scores[order], classes[order], is_correct[order].astype(bool)
    return tuple(
        _compute_curve(
            label, RankedDetections(scores[classes == index], is_correct[classes == index], int((truth == index).sum()))
        )
        for index, label in enumerate(class_names)
    )


def suggest_thresholds(curves: Sequence[ClassCurve]) -> Mapping[str, float | None]:
    """Return the suggested confidence threshold of each class by name; None where the split suggests none."""
    return {curve.label: curve.best_confidence for curve in curves}


def _compute_curve(label: str, ranked: RankedDetections) -> ClassCurve:
    import numpy as np

    none = np.zeros(0)
    if not ranked.total:
        return ClassCurve(label, recall_points(), none, none, none, none, none, None, None)
    precision, recall = ranked.precision_and_recall()
    # A threshold counts all detections of its score, so only the last of equals is a point.
    last = np.flatnonzero(np.append(ranked.scores[1:] != ranked.scores[:-1], True)[: len(ranked.scores)])[::-1]
    counts = last + 1
    f1 = 2 * np.cumsum(ranked.is_correct)[last] / (counts + ranked.total)
    confidences = ranked.scores[last]
    best = len(f1) - 1 - int(np.argmax(f1[::-1])) if f1.any() else None
    return ClassCurve(
        label=label,
        recall_points=recall_points(),
        precision_at_recall=ranked.precision_at_recall(),
        confidences=confidences,
        precision=precision[last],
        recall=recall[last],
        f1=f1,
        best_confidence=None if best is None else float(confidences[best]),
        best_f1=0.0 if best is None else float(f1[best]),
    )


def _join(parts: Sequence[npt.NDArray[np.generic]]) -> npt.NDArray[np.float64]:
    import numpy as np

    return np.concatenate(parts) if parts else np.zeros(0)
