"""How sizes, shapes and places of images and boxes are distributed in each split, next to the model's anchors."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from reefline.data.image_record import ImageRecord
from reefline.errors import ReeflineError

Size = tuple[float, float]

GRID_CELLS = 16
# Charts of more values look the same and take longer.
MAX_VALUES = 40_000


@dataclass(frozen=True)
class SplitSamples:
    """What charts show of a split.

    `image_sizes_px` has one width and height per image, `boxes` one width and height per box as fractions of its
    image, `centres` the number of box centres in each cell of the image, rows from the top.
    """

    name: str
    image_sizes_px: tuple[tuple[int, int], ...]
    objects_per_image: tuple[int, ...]
    boxes: tuple[Size, ...]
    centres: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class AnchorFacts:
    """The sizes of the model's anchors, as fractions of its input, and how they fit the training boxes.

    `covered` of `boxes` have an anchor of similar size and shape: one whose IoU reaches `threshold` where both have
    the same centre. `smaller` are smaller in area than every anchor, `larger` are larger.
    """

    sizes: tuple[Size, ...]
    threshold: float
    boxes: int
    covered: int
    smaller: int
    larger: int


def sample_splits(records: Iterable[ImageRecord], splits: Iterable[str]) -> tuple[SplitSamples, ...]:
    """Return the samples of each split that has images."""
    by_split: dict[str, list[ImageRecord]] = {split: [] for split in splits}
    for record in records:
        by_split.setdefault(record.split, []).append(record)
    return tuple(_sample(name, found) for name, found in by_split.items() if found)


def _sample(name: str, records: Sequence[ImageRecord]) -> SplitSamples:
    boxes: list[Size] = []
    centres = [[0] * GRID_CELLS for _ in range(GRID_CELLS)]
    for record in records:
        width_px, height_px = record.width_px, record.height_px
        for item in record.objects:
            x_min, y_min, x_max, y_max = item.box_xyxy_px
            boxes.append(((x_max - x_min) / width_px, (y_max - y_min) / height_px))
            column = int((x_min + x_max) / 2 / width_px * GRID_CELLS)
            row = int((y_min + y_max) / 2 / height_px * GRID_CELLS)
            centres[min(row, GRID_CELLS - 1)][min(column, GRID_CELLS - 1)] += 1
    return SplitSamples(
        name=name,
        image_sizes_px=tuple((record.width_px, record.height_px) for record in records),
        objects_per_image=tuple(len(record.objects) for record in records),
        boxes=tuple(boxes),
        centres=tuple(map(tuple, centres)),
    )


def name_image_sizes(samples: Iterable[SplitSamples], limit: int = 3) -> tuple[tuple[str, int], ...]:
    """Return the most frequent image sizes with their counts; empty if there are more than `limit`."""
    sizes = Counter(size for split in samples for size in split.image_sizes_px)
    if len(sizes) > limit:
        return ()
    return tuple((f"{width} × {height} px", count) for (width, height), count in sizes.most_common())


def side_fractions(boxes: Iterable[Size]) -> list[float]:
    """Return the side of a square of each box's area, in percent of the image's side."""
    return [100 * math.sqrt(width * height) for width, height in thin(boxes)]


def aspects(sizes: Iterable[Size]) -> list[float]:
    """Return width divided by height of each size that has a height."""
    return [width / height for width, height in thin(sizes) if height > 0]


def thin(values: Iterable[Size]) -> Sequence[Size]:
    """Return an even sample of at most about MAX_VALUES."""
    found = tuple(values)
    return found[:: max(1, -(-len(found) // MAX_VALUES))]


def read_anchors(pipeline_config: Path, boxes: Sequence[Size]) -> AnchorFacts | None:
    """Return the anchors of a model and their fit to boxes; None without a pipeline.config or a formula for them."""
    from reefline.od_api.anchor_sizes import list_anchor_sizes
    from reefline.od_api.model_config import read_pipeline_config
    from reefline.od_api.probe import read_match_threshold

    try:
        config = read_pipeline_config(pipeline_config)
    except (OSError, ValueError, ReeflineError):
        return None
    sizes = list_anchor_sizes(config)
    return measure_fit(sizes, boxes, read_match_threshold(config)) if sizes else None


def measure_fit(sizes: Sequence[Size], boxes: Sequence[Size], threshold: float) -> AnchorFacts:
    """Compare the sizes of boxes with those of anchors, both as fractions of the image.

    `covered` is extrapolated from the sample that `thin` returns; everything else counts all boxes.
    """
    import numpy as np

    anchors, every = np.asarray(sizes, np.float64), np.asarray(boxes, np.float64).reshape(-1, 2)
    found = np.asarray(thin(boxes), np.float64).reshape(-1, 2)
    common = np.minimum(found[:, None, 0], anchors[None, :, 0]) * np.minimum(found[:, None, 1], anchors[None, :, 1])
    areas, anchor_areas = every.prod(axis=1), anchors.prod(axis=1)
    union = found.prod(axis=1)[:, None] + anchor_areas[None] - common
    share = float(((common / union).max(axis=1) >= threshold).mean()) if len(found) else 0.0
    return AnchorFacts(
        sizes=tuple(sizes),
        threshold=threshold,
        boxes=len(every),
        covered=round(share * len(every)),
        smaller=int((areas < anchor_areas.min()).sum()),
        larger=int((areas > anchor_areas.max()).sum()),
    )
