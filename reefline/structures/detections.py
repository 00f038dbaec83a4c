"""The objects in an image and those that a model detected there, as arrays in one convention.

Boxes are rows of x_min, y_min, x_max, y_max in pixels of the original image (the convention of `boxes.BoxXyxyPx`).
A class index is 0-based: index n is the n-th name of the label map, whose id is n + 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from reefline.structures.boxes import BoxXyxyPx

# The lowest score to report where a class has no suggested threshold.
DEFAULT_MIN_SCORE = 0.3


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """The annotated objects of one image.

    `boxes_xyxy_px` is float64 of shape [N, 4], `class_indices` int64 of shape [N].
    """

    boxes_xyxy_px: npt.NDArray[np.float64]
    class_indices: npt.NDArray[np.int64]

    @classmethod
    def from_boxes(cls, boxes_xyxy_px: Sequence[BoxXyxyPx], class_ids: Sequence[int]) -> GroundTruth:
        """Return the objects of an image from its boxes and 1-based label map ids, one id per box."""
        import numpy as np

        corners = [(box.x_min, box.y_min, box.x_max, box.y_max) for box in boxes_xyxy_px]
        return cls(
            boxes_xyxy_px=np.asarray(corners, dtype=np.float64).reshape(-1, 4),
            class_indices=np.asarray(class_ids, dtype=np.int64) - 1,
        )


@dataclass(frozen=True, eq=False)
class Detections:
    """What a model detected in one image.

    `boxes_xyxy_px` is float64 of shape [N, 4], `class_indices` int64 of shape [N], `scores` float64 of shape [N],
    each 0..1.
    """

    boxes_xyxy_px: npt.NDArray[np.float64]
    class_indices: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]

    def __len__(self) -> int:
        """Return how many objects the model detected."""
        return len(self.scores)


@dataclass(frozen=True, eq=False)
class ScoredImage:
    """One image's ground truth and one model's detections."""

    ground_truth: GroundTruth
    detections: Detections
