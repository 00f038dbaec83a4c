"""What was measured: the candidate in full precision and as shipped, and the serving model."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Optional

import pydantic

from reefline.system.record import Record

# A number of 0..1; None where there is no ground truth. NaN and infinity are damage.
_Known = Optional[pydantic.FiniteFloat]


class Precision(str, enum.Enum):
    """The arithmetic of the shipped model."""

    INT8 = "int8"
    FLOAT = "float"


@dataclass(frozen=True)
class ClassMetrics(Record):
    """One class's average precision (0..1, None without ground truth) and its number of annotated objects."""

    ap: _Known
    ap_50: _Known
    groundtruth: int


@dataclass(frozen=True)
class CocoMetrics(Record):
    """M of summary.json: fractions 0..1 as pycocotools computes them, None where there is no ground truth.

    `map` averages over IoU 0.50:0.05:0.95. Small is an area below 32² pixels, large one from 96² pixels.
    `per_class` maps every class's name to its metrics, in the order of the label map.
    """

    map: Annotated[_Known, pydantic.Field(alias="mAP")]
    map_50: Annotated[_Known, pydantic.Field(alias="mAP_50")]
    map_75: Annotated[_Known, pydantic.Field(alias="mAP_75")]
    map_small: Annotated[_Known, pydantic.Field(alias="mAP_small")]
    map_medium: Annotated[_Known, pydantic.Field(alias="mAP_medium")]
    map_large: Annotated[_Known, pydantic.Field(alias="mAP_large")]
    ar_1: Annotated[_Known, pydantic.Field(alias="AR_1")]
    ar_10: Annotated[_Known, pydantic.Field(alias="AR_10")]
    ar_100: Annotated[_Known, pydantic.Field(alias="AR_100")]
    ar_small: Annotated[_Known, pydantic.Field(alias="AR_small")]
    ar_medium: Annotated[_Known, pydantic.Field(alias="AR_medium")]
    ar_large: Annotated[_Known, pydantic.Field(alias="AR_large")]
    per_class: Mapping[str, ClassMetrics]


@dataclass(frozen=True)
class Scores(Record):
    """What was measured on the eval split; `float`, `int8` and `baseline` are those of summary.json's metrics.

    `float_model` is the SavedModel. The TFLite model of the candidate's bundle is `int8` or `float_tflite`, whichever
    `shipped_precision` names; the other is None. `baseline` is the TFLite model of the serving bundle, whose version
    is `baseline_version`; 0 means that none serves. `milliseconds` maps "float", "shipped" and "baseline" to the
    median time per image on the CPU of the machine that scored, resizing included.
    """

    float_model: Annotated[Optional[CocoMetrics], pydantic.Field(alias="float")]
    int8: Optional[CocoMetrics]
    float_tflite: Optional[CocoMetrics]
    baseline: Optional[CocoMetrics]
    shipped_precision: Precision
    baseline_version: int
    milliseconds: Mapping[str, pydantic.FiniteFloat] = field(default_factory=dict)

    @property
    def shipped(self) -> Optional[CocoMetrics]:
        """The metrics of the model that the verdict is about."""
        return self.int8 if self.shipped_precision is Precision.INT8 else self.float_tflite
