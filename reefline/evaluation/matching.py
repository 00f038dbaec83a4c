"""Which detection found which object: COCO's matching at one IoU threshold, without pycocotools.

Source of the rules: pycocotools' COCOeval.evaluateImg and maskApi.c (bbIou). IoUs are computed in the same order of
operations, so that borderline pairs fall on the same side.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from reefline.structures.detections import Detections, ScoredImage

FOUND_IOU = 0.5
# COCO counts this many detections per image and class, those with the highest scores.
_MAX_DETECTIONS = 100
# pycocotools lowers its thresholds to this, so that an IoU threshold of 1 can be reached.
_HIGHEST_THRESHOLD = 1 - 1e-10


@dataclass(frozen=True, eq=False)
class ImageMatch:
    """The detections of one image that count, best score first, and what each of them found.

    `rows` are their indices in the image's Detections, `ious` is float64 of shape [rows, objects], `is_same_class` bool
    of the same shape, `found` the index of the object that each found, or -1.
    """

    rows: npt.NDArray[np.int64]
    ious: npt.NDArray[np.float64]
    is_same_class: npt.NDArray[np.bool_]
    found: npt.NDArray[np.int64]


def match_images(images: Iterable[ScoredImage], min_iou: float = FOUND_IOU) -> tuple[ImageMatch, ...]:
    """Match each image's detections with its objects.

    In the order of their scores, detections get the free object of their class with the highest IoU, if that is at
    least `min_iou`; of equal IoUs the last object wins.
    """
    return tuple(_match(image, min_iou) for image in images)


def compute_ious(
    boxes_xyxy_px: npt.NDArray[np.float64], others_xyxy_px: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the IoU of each box, [N, 4], with each of the others, [M, 4], as [N, M]; 0 where they do not overlap."""
    import numpy as np

    corners, sizes = boxes_xyxy_px[:, None, :2], (boxes_xyxy_px[:, 2:] - boxes_xyxy_px[:, :2])[:, None]
    other_corners, other_sizes = others_xyxy_px[None, :, :2], (others_xyxy_px[:, 2:] - others_xyxy_px[:, :2])[None]
    overlap = np.minimum(sizes + corners, other_sizes + other_corners) - np.maximum(corners, other_corners)
    shared = np.where((overlap > 0).all(axis=2), overlap.prod(axis=2), 0.0)
    union = sizes.prod(axis=2) + other_sizes.prod(axis=2) - shared
    ious: npt.NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)
    return ious


def _match(image: ScoredImage, min_iou: float) -> ImageMatch:
    import numpy as np

    truth, detections = image.ground_truth, image.detections
    rows = _counted_rows(detections)
    # COCO ignores detections whose area is negative; one of 0 counts.
    rows = rows[(detections.boxes_xyxy_px[rows, 2:] - detections.boxes_xyxy_px[rows, :2]).prod(axis=1) >= 0]
    ious = compute_ious(detections.boxes_xyxy_px[rows], truth.boxes_xyxy_px)
    is_same_class = detections.class_indices[rows][:, None] == truth.class_indices[None]
    is_free = is_same_class & (ious >= min(min_iou, _HIGHEST_THRESHOLD))
    found = np.full(len(rows), -1, dtype=np.int64)
    for row in np.flatnonzero(is_free.any(axis=1)):
        objects = np.flatnonzero(is_free[row])[::-1]
        if objects.size:
            found[row] = objects[np.argmax(ious[row, objects])]
            is_free[:, found[row]] = False
    return ImageMatch(rows, ious, is_same_class, found)


def _counted_rows(detections: Detections) -> npt.NDArray[np.int64]:
    import numpy as np

    order = np.argsort(-detections.scores, kind="stable")
    if len(order) <= _MAX_DETECTIONS:
        return order
    classes = detections.class_indices[order]
    counted = [np.flatnonzero(classes == index)[:_MAX_DETECTIONS] for index in np.unique(classes)]
    return order[np.sort(np.concatenate(counted))]
