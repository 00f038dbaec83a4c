"""The one internal box format: corners in pixels, 0-based.

A box covers [x_min, x_max) x [y_min, y_max) on the continuous image plane whose extent is [0, width] x [0, height].
Other conventions (VOC's 1-based pixels, tf.Example's fractions, COCO's x, y, width, height) stay at file boundaries.
"""

from __future__ import annotations

import math
from typing import NamedTuple


class BoxXyxyPx(NamedTuple):
    """A box in pixels of its image: a tuple, because ingestion creates millions of them (benchmarks/ingestion.py)."""

    x_min: float
    y_min: float
    x_max: float
    y_max: float

    @property
    def width_px(self) -> float:
        """Width in pixels; not positive for a degenerate box."""
        return self.x_max - self.x_min

    @property
    def height_px(self) -> float:
        """Height in pixels; not positive for a degenerate box."""
        return self.y_max - self.y_min

    @property
    def is_finite(self) -> bool:
        """True where no coordinate is NaN or infinite."""
        return all(map(math.isfinite, self))

    def overhang_px(self, width_px: int, height_px: int) -> float:
        """Return how far the box reaches outside the image, in pixels at its worst side; 0 where it lies inside."""
        return max(0.0, -self.x_min, -self.y_min, self.x_max - width_px, self.y_max - height_px)

    def clipped(self, width_px: int, height_px: int) -> BoxXyxyPx:
        """Return the part of the box inside the image."""
        # Floats, as an integer would not survive a file.
        right, bottom = float(width_px), float(height_px)
        return BoxXyxyPx(
            x_min=min(max(self.x_min, 0.0), right),
            y_min=min(max(self.y_min, 0.0), bottom),
            x_max=min(max(self.x_max, 0.0), right),
            y_max=min(max(self.y_max, 0.0), bottom),
        )

    def scaled(self, x_factor: float, y_factor: float) -> BoxXyxyPx:
        """Return the box after its image was resized by the given factors."""
        return BoxXyxyPx(self.x_min * x_factor, self.y_min * y_factor, self.x_max * x_factor, self.y_max * y_factor)
