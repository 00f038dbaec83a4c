"""What the data are like: images, classes, sizes and shapes of the boxes, as far as the recipe depends on them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from reefline.verification.records import DataFacts
from reefline.verification.sample import DataSample

# An SSD's first feature map has one cell for 16 px: what is smaller than most of a cell hardly leaves a trace.
SMALL_BOX_PX = 10


@dataclass(frozen=True)
class DataTraits:
    """A data set in numbers. Box sides are the root of a box's share of its image's area, 0..1.

    `median_aspect` is width by height of boxes after the image is resized to a square, `most_boxes` are the boxes of
    the most frequent class, `median_long_side_px` is the longer side of the median image.
    """

    facts: DataFacts
    box_sides: tuple[float, ...]
    median_aspect: float
    rarest_class: str
    rarest_boxes: int
    most_boxes: int
    median_long_side_px: int

    @property
    def median_box_side(self) -> float:
        """The median of `box_sides`."""
        return statistics.median(self.box_sides)

    @property
    def imbalance(self) -> float:
        """The boxes of the most frequent class by those of the rarest one."""
        return self.most_boxes / max(1, self.rarest_boxes)

    def small_fraction(self, input_px: int) -> float:
        """Return the share of boxes, 0..1, that are smaller than SMALL_BOX_PX in an input of `input_px`."""
        return sum(side * input_px < SMALL_BOX_PX for side in self.box_sides) / len(self.box_sides)


def describe_sample(sample: DataSample) -> DataTraits:
    """Return the traits of a sampled data set, which has at least one box."""
    sizes = [(x_max - x_min, y_max - y_min) for y_min, x_min, y_max, x_max in sample.boxes_yxyx]
    counts = {name: sample.boxes_per_class.get(name, 0) for name in sample.facts.classes}
    rarest = min(counts, key=lambda name: (counts[name], name))
    return DataTraits(
        facts=sample.facts,
        box_sides=tuple(math.sqrt(width * height) for width, height in sizes),
        median_aspect=statistics.median(width / height for width, height in sizes),
        rarest_class=rarest,
        rarest_boxes=counts[rarest],
        most_boxes=max(counts.values()),
        median_long_side_px=_median_long_side(sample.image_sizes_px),
    )


def _median_long_side(sizes_px: Sequence[tuple[int, int]]) -> int:
    return int(statistics.median_low([max(size) for size in sizes_px]))
