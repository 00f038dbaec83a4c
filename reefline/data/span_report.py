"""How the newest span differs from those before it, as a record."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from reefline.system.record import Record


class Comparison(str, enum.Enum):
    """What the newest span is compared with: the span before it, or all spans before it."""

    DRIFT = "drift"
    SKEW = "skew"


@dataclass(frozen=True)
class DriftMeasurement(Record):
    """A distance, 0 to 1, between two distributions of one feature, and the limit that the config sets."""

    feature: str
    comparison: Comparison
    distance: float
    limit: float

    @property
    def exceeds(self) -> bool:
        """Whether the distance is above the limit."""
        return self.distance > self.limit


@dataclass(frozen=True)
class SpanSize(Record):
    """How many images and boxes a span has."""

    span: int
    images: int
    boxes: int


@dataclass(frozen=True)
class SpanReport(Record):
    """The spans in their order, and how the last one differs from those before it."""

    spans: tuple[SpanSize, ...]
    measurements: tuple[DriftMeasurement, ...]
