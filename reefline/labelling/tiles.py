"""Detecting in a large image tile by tile, so that small objects are not shrunk away.

Source of the scheme: Akyon et al., "Slicing Aided Hyper Inference" (SAHI, ICIP 2022): overlapping tiles and the full
image, merged greedily per class. Unlike SAHI, a box that a tile's border cuts never beats or widens one that is
not cut.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reefline.errors import UsageError
from reefline.evaluation.matching import compute_ious
from reefline.labelling.box_source import BoxSource
from reefline.structures.detections import Detections

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MIN_TILE_PX = 64
# Boxes of one class that overlap by this much are one object: SAHI's default.
_MERGE_AT = 0.5
# A box whose side is this near to a tile's border is taken as cut by it, as a share of the tile.
_BORDER_SHARE = 0.02
_MAX_OVERLAP = 0.9


class OverlapMetric(enum.Enum):
    """How boxes of one class are compared: shared area over the union, or over the smaller box (SAHI's default)."""

    IOU = "iou"
    IOS = "ios"


@dataclass(frozen=True)
class Tiling:
    """Square tiles of `size_px`, each sharing `overlap` (0 to 0.9) of its side with the next.

    Raises:
        UsageError: a value is out of range.
    """

    size_px: int
    overlap: float = 0.2
    metric: OverlapMetric = OverlapMetric.IOS

    def __post_init__(self) -> None:
        if self.size_px < MIN_TILE_PX:
            raise UsageError(f"--tiles {self.size_px}: expected at least {MIN_TILE_PX} pixels")
        if not 0 <= self.overlap <= _MAX_OVERLAP:
            raise UsageError(f"--overlap {self.overlap}: expected a fraction from 0 to {_MAX_OVERLAP}")

    def starts(self, length_px: int) -> list[int]:
        """Return where the tiles along a side start; the last one ends with the image."""
        last = max(0, length_px - self.size_px)
        step = max(1, self.size_px - int(self.size_px * self.overlap))
        return [*range(0, last, step), last]


@dataclass(frozen=True)
class _Tile:
    """A part of an image, x_min, y_min, x_max, y_max in whole pixels."""

    x_min: int
    y_min: int
    x_max: int
    y_max: int


def detect_in_tiles(
    source: BoxSource, image_rgb: npt.NDArray[np.uint8], tiling: Tiling, min_score_of: Callable[[int], float]
) -> Detections:
    """Return the detections in the tiles of an image and in all of it, each object once.

    Those below the score of their class are left out first: a doubtful box must not widen a sure one.
    """
    height_px, width_px = image_rgb.shape[:2]
    tiles = list(_cut(width_px, height_px, tiling))
    if len(tiles) == 1:
        return _drop_below(source.detect_all([image_rgb])[0], min_score_of)
    parts = [image_rgb[tile.y_min : tile.y_max, tile.x_min : tile.x_max] for tile in tiles]
    *of_tiles, of_all = (_drop_below(found, min_score_of) for found in source.detect_all([*parts, image_rgb]))
    return _merge(of_all, of_tiles, tiles, (width_px, height_px), tiling.metric)


def _drop_below(found: Detections, min_score_of: Callable[[int], float]) -> Detections:
    import numpy as np

    lowest = np.array([min_score_of(index) for index in found.class_indices.tolist()], dtype=np.float64)
    kept = found.scores >= lowest
    return Detections(found.boxes_xyxy_px[kept], found.class_indices[kept], found.scores[kept])


def _cut(width_px: int, height_px: int, tiling: Tiling) -> Iterator[_Tile]:
    for y in tiling.starts(height_px):
        for x in tiling.starts(width_px):
            yield _Tile(x, y, min(x + tiling.size_px, width_px), min(y + tiling.size_px, height_px))


def _merge(
    of_all: Detections,
    of_tiles: Sequence[Detections],
    tiles: Sequence[_Tile],
    size_px: tuple[int, int],
    metric: OverlapMetric,
) -> Detections:
    import numpy as np

    moved = [found.boxes_xyxy_px + [tile.x_min, tile.y_min] * 2 for found, tile in zip(of_tiles, tiles, strict=True)]
    boxes = np.concatenate([of_all.boxes_xyxy_px, *moved])
    classes = np.concatenate([of_all.class_indices, *(found.class_indices for found in of_tiles)])
    scores = np.concatenate([of_all.scores, *(found.scores for found in of_tiles)])
    cut = [_find_cut(each, tile, size_px) for each, tile in zip(moved, tiles, strict=True)]
    is_cut = np.concatenate([np.zeros(len(of_all), dtype=bool), *cut])
    merged = [
        _merge_class(boxes[rows], scores[rows], is_cut[rows], metric)
        for rows in (np.flatnonzero(classes == index) for index in np.unique(classes))
    ]
    if not merged:
        return of_all
    return Detections(
        boxes_xyxy_px=np.concatenate([each for each, _ in merged]),
        class_indices=np.repeat(np.unique(classes), [len(each) for each, _ in merged]),
        scores=np.concatenate([each for _, each in merged]),
    )


def _find_cut(boxes: npt.NDArray[np.float64], tile: _Tile, size_px: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return which boxes reach a border of their tile that is not the image's."""
    import numpy as np

    margin = max(2.0, _BORDER_SHARE * max(tile.x_max - tile.x_min, tile.y_max - tile.y_min))
    is_cut: npt.NDArray[np.bool_] = np.zeros(len(boxes), dtype=bool)
    borders = (tile.x_min, tile.y_min, tile.x_max, tile.y_max)
    for side, (border, of_image) in enumerate(zip(borders, (0, 0, *size_px), strict=True)):
        if border != of_image:
            outwards = -1 if side < 2 else 1
            is_cut |= (boxes[:, side] - border) * outwards >= -margin
    return is_cut


def _merge_class(
    boxes: npt.NDArray[np.float64],
    scores: npt.NDArray[np.float64],
    is_cut: npt.NDArray[np.bool_],
    metric: OverlapMetric,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the boxes and scores of the objects of one class: complete boxes first, then the pieces that are left."""
    import numpy as np

    order = np.lexsort((-scores, is_cut))
    boxes, scores, is_cut = boxes[order], scores[order], is_cut[order]
    is_open = np.ones(len(boxes), dtype=bool)
    merged_boxes, merged_scores = [], []
    for top in range(len(boxes)):
        if is_open[top]:
            gather = _gather_pieces if is_cut[top] else _gather_around_complete
            box, members = gather(boxes, is_cut, is_open, top, metric)
            is_open &= ~members
            merged_boxes.append(box)
            merged_scores.append(scores[members].max())
    return np.array(merged_boxes).reshape(-1, 4), np.array(merged_scores)


def _gather_around_complete(
    boxes: npt.NDArray[np.float64],
    is_cut: npt.NDArray[np.bool_],
    is_open: npt.NDArray[np.bool_],
    top: int,
    metric: OverlapMetric,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return the object that a complete box belongs to, and which boxes it stands for."""
    members = is_open & (_overlaps(boxes[top], boxes, metric) >= _MERGE_AT)
    members[top] = True
    # A complete box that differs this much shows more of the object, or less of it.
    others = members & ~is_cut & (compute_ious(boxes[top][None], boxes)[0] < _MERGE_AT)
    return _union(boxes[top], boxes[others]), members


def _gather_pieces(
    boxes: npt.NDArray[np.float64],
    is_cut: npt.NDArray[np.bool_],
    is_open: npt.NDArray[np.bool_],
    top: int,
    metric: OverlapMetric,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return the object that a cut box is a piece of, as no tile shows it completely; only pieces are left."""
    box, members = boxes[top], is_open & False
    members[top] = True
    while True:
        joining = is_open & ~members & ((_overlaps(box, boxes, metric) >= _MERGE_AT) | _continues(box, boxes))
        if not joining.any():
            return box, members
        members |= joining
        box = _union(box, boxes[joining])


def _union(box: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    import numpy as np

    together = np.vstack([box[None], others])
    joined: npt.NDArray[np.float64] = np.concatenate([together[:, :2].min(axis=0), together[:, 2:].max(axis=0)])
    return joined


def _overlaps(
    box: npt.NDArray[np.float64], others: npt.NDArray[np.float64], metric: OverlapMetric
) -> npt.NDArray[np.float64]:
    import numpy as np

    ious = compute_ious(box[None], others)[0]
    if metric is OverlapMetric.IOU:
        return ious
    area, areas = (box[2:] - box[:2]).prod(), (others[:, 2:] - others[:, :2]).prod(axis=1)
    # The shared area follows from the IoU and both areas.
    shared = ious * (area + areas) / (1 + ious)
    smaller = np.minimum(area, areas)
    overlaps: npt.NDArray[np.float64] = np.divide(shared, smaller, out=np.zeros_like(shared), where=smaller > 0)
    return overlaps


def _continues(box: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return which others may be the next piece of an object that is larger than the tiles' overlap.

    They meet the box, and both have about the same extent along one axis.
    """
    import numpy as np

    shared = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    joint = np.maximum(box[2:], others[:, 2:]) - np.minimum(box[:2], others[:, :2])
    meets: npt.NDArray[np.bool_] = (shared > 0).all(axis=1) & ((shared / np.maximum(joint, 1e-9)) >= 0.7).any(axis=1)
    return meets
