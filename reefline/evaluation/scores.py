"""What was measured of a candidate, in full precision and as shipped, and of the model that serves."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from reefline.evaluation.coco_metrics import CocoMetrics


class Precision(str, enum.Enum):
    """What the arithmetic of the model that ships is."""

    INT8 = "int8"
    FLOAT = "float"


@dataclass(frozen=True)
class Scores:
    """What was measured on the eval split.

    `float_model` is the SavedModel, `shipped` the TFLite model of the candidate's bundle in the given precision,
    `baseline` the TFLite model of the serving bundle whose version is `baseline_version`; 0 says that none serves.
    """

    float_model: Optional[CocoMetrics]
    shipped: Optional[CocoMetrics]
    shipped_precision: Precision
    baseline: Optional[CocoMetrics]
    baseline_version: int

    @property
    def int8(self) -> Optional[CocoMetrics]:
        """The int8 model's metrics; None where the bundle has no int8 model."""
        return self.shipped if self.shipped_precision is Precision.INT8 else None

    def to_json(self) -> dict[str, Any]:
        """Return the scores; "float", "int8" and "baseline" are those of summary.json's metrics."""
        is_int8 = self.shipped_precision is Precision.INT8
        return {
            "float": _metrics_to_json(self.float_model),
            "int8": _metrics_to_json(self.int8),
            "float_tflite": None if is_int8 else _metrics_to_json(self.shipped),
            "baseline": _metrics_to_json(self.baseline),
            "shipped_precision": self.shipped_precision.value,
            "baseline_version": self.baseline_version,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Scores:
        """Read back what `to_json` wrote."""
        precision = Precision(record["shipped_precision"])
        return cls(
            float_model=_metrics_from_json(record["float"]),
            shipped=_metrics_from_json(record["int8" if precision is Precision.INT8 else "float_tflite"]),
            shipped_precision=precision,
            baseline=_metrics_from_json(record["baseline"]),
            baseline_version=record["baseline_version"],
        )


def _metrics_to_json(metrics: Optional[CocoMetrics]) -> Optional[dict[str, Any]]:
    return None if metrics is None else metrics.to_json()


def _metrics_from_json(record: Optional[Mapping[str, Any]]) -> Optional[CocoMetrics]:
    return None if record is None else CocoMetrics.from_json(record)
