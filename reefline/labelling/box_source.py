"""One door to every kind of detector that boxes can come from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reefline.labelling.label_names import ClassNames
from reefline.structures.detections import DEFAULT_MIN_SCORE, Detections

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class BoxSource:
    """A loaded detector.

    `name` is for people, `identity` a hash of its file. `labels` name its 0-based classes, () where that is unknown.
    `detect` runs on up to `batch_size` images, uint8 [height, width, 3], of one size. `suggested_scores` has the lowest
    score to use of some classes, by name.
    """

    name: str
    identity: str
    labels: ClassNames
    batch_size: int
    detect: Callable[[Sequence[npt.NDArray[np.uint8]]], list[Detections]]
    suggested_scores: Mapping[str, float] = field(default_factory=dict)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes that have one."""
        return tuple(label for label in self.labels if label is not None)

    def detect_all(self, images_rgb: Sequence[npt.NDArray[np.uint8]]) -> list[Detections]:
        """Return the detections of each image, in their order, with boxes in pixels of that image."""
        by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, image in enumerate(images_rgb):
            by_shape[image.shape].append(index)
        found: dict[int, Detections] = {}
        for indices in by_shape.values():
            for start in range(0, len(indices), self.batch_size):
                batch = indices[start : start + self.batch_size]
                found.update(zip(batch, self.detect([images_rgb[index] for index in batch]), strict=True))
        return [found[index] for index in range(len(images_rgb))]

    def min_score_of(self, label: str | None) -> float:
        """Return the lowest score to use of a class: what the model suggests, or 0.3."""
        return self.suggested_scores.get(label or "", DEFAULT_MIN_SCORE)
