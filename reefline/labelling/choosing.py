"""Which of a model's detections become labels, and of which class."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reefline.evaluation.matching import FOUND_IOU, compute_ious
from reefline.labelling.label_names import ClassNames
from reefline.structures.annotation import AnnotatedObject
from reefline.structures.boxes import BoxXyxyPx

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from reefline.structures.detections import Detections


class BoxChoice(enum.Enum):
    """Which boxes of an image to keep; AUTO is BEST where a folder gives the class, and ALL elsewhere."""

    AUTO = "auto"
    BEST = "best"
    ALL = "all"


class Fallback(enum.Enum):
    """What an image gets in which nothing was found, where its folder gives the class."""

    NONE = "none"
    WHOLE_IMAGE = "whole-image"


@dataclass(frozen=True)
class LabelRules:
    """How detections become labels.

    `labels` and `min_scores` are per class of the model. `wanted` are the model's classes to use, None for all that
    suit. `new_names` maps the model's class names to others, None where a class is left out.
    """

    labels: ClassNames
    min_scores: tuple[float, ...]
    default_min_score: float
    wanted: frozenset[str] | None = None
    new_names: Mapping[str, str | None] = field(default_factory=dict)
    boxes: BoxChoice = BoxChoice.AUTO
    fallback: Fallback = Fallback.NONE

    def min_score_of(self, class_index: int) -> float:
        """Return the lowest score of a label that comes from a class of the model."""
        is_known = 0 <= class_index < len(self.min_scores)
        return self.min_scores[class_index] if is_known else self.default_min_score

    def detector_classes_for(self, folder_label: str | None) -> frozenset[str] | None:
        """Return the model's classes to use for a folder's images; None for all.

        Without --detector-classes, a folder with the name of one of the model's classes uses that class alone.
        """
        if self.wanted is not None or folder_label is None:
            return self.wanted
        same = {label for label in self.labels if label is not None and _fold(label) == _fold(folder_label)}
        return frozenset(same) or None


def choose_objects(
    rules: LabelRules, detections: Detections, size_px: tuple[int, int], folder_label: str | None
) -> tuple[AnnotatedObject, ...]:
    """Return the labels of an image of `size_px`, best score first; `folder_label` is its class, None: the model's.

    Boxes have whole pixels, as people's labelling tools expect.
    """
    import numpy as np

    wanted = rules.detector_classes_for(folder_label)
    order = np.argsort(-detections.scores, kind="stable")
    chosen: list[AnnotatedObject] = []
    for row in order.tolist():
        index, score = int(detections.class_indices[row]), float(detections.scores[row])
        label = _label_of(rules, index, wanted, folder_label)
        box = _round(detections.boxes_xyxy_px[row], size_px)
        if label is None or box is None or score < rules.min_score_of(index):
            continue
        item = AnnotatedObject(label, box, score=min(1.0, max(0.0, score)))
        if not _is_repeated(item, chosen):
            chosen.append(item)
    if rules.boxes is BoxChoice.BEST or (rules.boxes is BoxChoice.AUTO and folder_label is not None):
        chosen = chosen[:1]
    if not chosen and rules.fallback is Fallback.WHOLE_IMAGE and folder_label is not None:
        # Without any confidence: by default a person looks at it first.
        return (AnnotatedObject(folder_label, BoxXyxyPx(0, 0, *size_px), score=0.0),)
    return tuple(chosen)


def _label_of(rules: LabelRules, index: int, wanted: frozenset[str] | None, folder_label: str | None) -> str | None:
    """Return the class that a detection's box gets; None if it is not used."""
    known = rules.labels[index] if 0 <= index < len(rules.labels) else None
    if wanted is not None and known not in wanted:
        return None
    if folder_label is not None:
        return folder_label
    return None if known is None else rules.new_names.get(known, known)


def _round(box: npt.NDArray[np.float64], size_px: tuple[int, int]) -> BoxXyxyPx | None:
    """Return the box in whole pixels of the image; None if it has no area."""
    rounded = BoxXyxyPx(*(float(round(side)) for side in box.tolist())).clipped(*size_px)
    return rounded if rounded.width_px >= 1 and rounded.height_px >= 1 else None


def _is_repeated(item: AnnotatedObject, chosen: list[AnnotatedObject]) -> bool:
    """Return whether a surer box of the same label is on the object.

    Models leave more overlap between boxes of one class, and any between those of two classes that became one label.
    """
    import numpy as np

    others = [each.box_xyxy_px for each in chosen if each.label == item.label]
    if not others:
        return False
    ious = compute_ious(np.array([item.box_xyxy_px], dtype=np.float64), np.array(others, dtype=np.float64))
    return bool(ious.max() >= FOUND_IOU)


def _fold(name: str) -> str:
    return name.casefold().replace("_", " ").replace("-", " ")
