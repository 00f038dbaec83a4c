"""The numbers of the quality section: COCO's metrics of every model next to each other, and one row per class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reefline.evaluation.scores import ClassMetrics, CocoMetrics, Scores

if TYPE_CHECKING:
    from reefline.evaluation.curves import ClassCurve

# COCO's name, the field of CocoMetrics, and what it means.
_METRICS = (
    ("mAP", "map", "mean AP over IoU 0.50 to 0.95"),
    ("mAP_50", "map_50", "mean AP at IoU 0.50"),
    ("mAP_75", "map_75", "mean AP at IoU 0.75"),
    ("mAP_small", "map_small", "objects below 32² pixels"),
    ("mAP_medium", "map_medium", "objects of 32² to 96² pixels"),
    ("mAP_large", "map_large", "objects from 96² pixels"),
    ("AR_1", "ar_1", "mean recall, 1 detection per image"),
    ("AR_10", "ar_10", "mean recall, 10 detections per image"),
    ("AR_100", "ar_100", "mean recall, 100 detections per image"),
    ("AR_small", "ar_small", "mean recall, objects below 32² pixels"),
    ("AR_medium", "ar_medium", "mean recall, objects of 32² to 96² pixels"),
    ("AR_large", "ar_large", "mean recall, objects from 96² pixels"),
)


@dataclass(frozen=True)
class Compared:
    """A number (0..1) of the float, the shipped and the baseline model; None where unknown."""

    float_model: float | None
    shipped: float | None
    baseline: float | None

    @property
    def quantization(self) -> float | None:
        """What the shipped model gains (negative: loses) against the float model."""
        return _subtract(self.shipped, self.float_model)

    @property
    def change(self) -> float | None:
        """What the shipped model gains (negative: loses) against the baseline."""
        return _subtract(self.shipped, self.baseline)


@dataclass(frozen=True)
class MetricRow:
    """One of COCO's numbers for every model."""

    name: str
    meaning: str
    values: Compared


@dataclass(frozen=True)
class ClassRow:
    """A class: its objects in the eval split, its AP for every model, and the shipped model's suggested threshold.

    `confidence` is where F1 is highest; `precision`, `recall` and `f1` hold there, at IoU 0.50. None without objects.
    """

    label: str
    objects: int
    ap: Compared
    ap_50: float | None
    confidence: float | None
    f1: float | None
    precision: float | None
    recall: float | None


def compare_metrics(scores: Scores) -> tuple[MetricRow, ...]:
    """Return COCO's 12 numbers, each for every model."""

    def read(metrics: CocoMetrics | None, field: str) -> float | None:
        return None if metrics is None else getattr(metrics, field)

    return tuple(
        MetricRow(
            name,
            meaning,
            Compared(*(read(m, field) for m in (scores.float_model, scores.shipped, scores.baseline))),
        )
        for name, field, meaning in _METRICS
    )


def list_classes(scores: Scores, curves: Sequence[ClassCurve]) -> tuple[ClassRow, ...]:
    """Return a row for every class of the shipped model, in the order of the label map."""
    if scores.shipped is None:
        return ()
    curve_of = {curve.label: curve for curve in curves}
    others = (_per_class(scores.float_model), _per_class(scores.baseline))
    return tuple(
        _make_row(label, metrics, others, curve_of.get(label)) for label, metrics in scores.shipped.per_class.items()
    )


def _make_row(
    label: str,
    shipped: ClassMetrics,
    others: tuple[Mapping[str, ClassMetrics], Mapping[str, ClassMetrics]],
    curve: ClassCurve | None,
) -> ClassRow:
    in_float, in_baseline = (metrics[label].ap if label in metrics else None for metrics in others)
    best = _read_best(curve) if curve is not None and shipped.groundtruth else (None, None, None, None)
    return ClassRow(label, shipped.groundtruth, Compared(in_float, shipped.ap, in_baseline), shipped.ap_50, *best)


def _per_class(metrics: CocoMetrics | None) -> Mapping[str, ClassMetrics]:
    return {} if metrics is None else metrics.per_class


def _subtract(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other


def _read_best(curve: ClassCurve) -> tuple[float | None, float | None, float | None, float | None]:
    """Return the suggested confidence, and F1, precision and recall there."""
    import numpy as np

    if curve.best_confidence is None:
        return None, curve.best_f1, None, None
    place = int(np.searchsorted(curve.confidences, curve.best_confidence))
    return curve.best_confidence, curve.best_f1, float(curve.precision[place]), float(curve.recall[place])
