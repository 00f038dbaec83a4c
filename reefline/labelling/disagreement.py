"""Where a model disagrees with the labels of an image."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reefline.evaluation.matching import FOUND_IOU, compute_ious
from reefline.structures.boxes import BoxXyxyPx

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from reefline.data.image_record import ObjectRecord
    from reefline.structures.detections import Detections

# A detection that overlaps no annotation by this much is of an object without one.
NEAR_IOU = 0.3
# An annotated box that overlaps the model's by less than this does not fit its object.
TIGHT_IOU = 0.7


class DoubtKind(str, enum.Enum):
    """What may be wrong with a label; the values are those of review.csv."""

    MISSING_BOX = "missing box"
    WRONG_CLASS = "wrong class"
    LOOSE_BOX = "loose box"


@dataclass(frozen=True)
class Doubt:
    """What a model disagrees with; `score`, 0 to 1, ranks doubts of all kinds.

    `object_index` is the 0-based index of the annotated <object> in the XML, with its class and box; None for a missing
    box. `detected`, `confidence` and `box` are the model's, `iou` is that of both boxes.
    """

    kind: DoubtKind
    score: float
    detected: str
    confidence: float
    box: BoxXyxyPx
    iou: float
    object_index: int | None = None
    annotated: str | None = None
    annotated_box: BoxXyxyPx | None = None


@dataclass(frozen=True)
class _Comparison:
    """An image's detections and objects; `ious` has shape [detections, objects], `is_sure` is per detection."""

    objects: Sequence[ObjectRecord]
    names: Sequence[str | None]
    boxes: Sequence[BoxXyxyPx]
    scores: npt.NDArray[np.float64]
    ious: npt.NDArray[np.float64]
    is_same_class: npt.NDArray[np.bool_]
    is_sure: npt.NDArray[np.bool_]


def find_doubts(
    objects: Sequence[ObjectRecord],
    detections: Detections,
    labels: Sequence[str | None],
    min_scores: Sequence[float],
) -> list[Doubt]:
    """Return what a model disagrees with in an image, in no order.

    `labels` and `min_scores` are per class of the model; a detection below its class's score raises no doubt, but may
    confirm a label. Objects of classes that the model does not know are never in doubt. The score of a doubt is the
    detection's, times

    - missing box: 1 - the highest IoU with an annotation;
    - wrong class: 1 - the score of the best detection of the annotated class there;
    - loose box: (1 - IoU) / (1 - NEAR_IOU).
    """
    import numpy as np

    truth = np.array([item.box_xyxy_px for item in objects], dtype=np.float64).reshape(-1, 4)
    indices = detections.class_indices.tolist()
    names = [labels[index] if 0 <= index < len(labels) else None for index in indices]
    lowest = [min_scores[index] if 0 <= index < len(min_scores) else 1.0 for index in indices]
    compared = _Comparison(
        objects=objects,
        names=names,
        boxes=[BoxXyxyPx(*box) for box in detections.boxes_xyxy_px.tolist()],
        scores=detections.scores,
        ious=compute_ious(detections.boxes_xyxy_px, truth),
        is_same_class=np.array([[name == item.label for item in objects] for name in names], dtype=bool).reshape(
            len(names), len(objects)
        ),
        is_sure=(detections.scores >= np.array(lowest, dtype=np.float64))
        & np.array([n is not None for n in names], bool),
    )
    known = {label for label in labels if label is not None}
    doubts = list(_find_missing(compared))
    for number, item in enumerate(objects):
        if item.label in known:
            doubts += _doubt_object(compared, number)
    return doubts


def _find_missing(compared: _Comparison) -> Iterator[Doubt]:
    """Yield the sure detections far from any annotation, each object once."""
    import numpy as np

    highest = compared.ious.max(axis=1, initial=0.0)
    reported: list[BoxXyxyPx] = []
    rows = np.flatnonzero(compared.is_sure & (highest < NEAR_IOU))
    for row in sorted(rows.tolist(), key=lambda row: -compared.scores[row]):
        box = compared.boxes[row]
        if reported and compute_ious(np.array([box]), np.array(reported)).max() >= NEAR_IOU:
            continue
        reported.append(box)
        confidence, iou = float(compared.scores[row]), float(highest[row])
        yield Doubt(DoubtKind.MISSING_BOX, confidence * (1 - iou), str(compared.names[row]), confidence, box, iou)


def _doubt_object(compared: _Comparison, number: int) -> Iterator[Doubt]:
    """Yield what is doubtful about an annotated object: its class, or else its box."""
    ious, same = compared.ious[:, number], compared.is_same_class[:, number]
    there = ious >= FOUND_IOU
    others = compared.is_sure & there & ~same
    support = float(compared.scores[there & same].max(initial=0.0))
    if others.any():
        row = int((compared.scores * others).argmax())
        confidence = float(compared.scores[row])
        if confidence > support:
            yield _make_doubt(compared, DoubtKind.WRONG_CLASS, row, number, confidence * (1 - support))
            return
    # The detections that belong to this object rather than to its neighbours.
    own = compared.is_sure & same & (ious >= NEAR_IOU) & (ious >= compared.ious.max(axis=1, initial=0.0))
    if own.any():
        row = int((ious * own).argmax())
        if ious[row] < TIGHT_IOU:
            score = float(compared.scores[row]) * (1 - float(ious[row])) / (1 - NEAR_IOU)
            yield _make_doubt(compared, DoubtKind.LOOSE_BOX, row, number, score)


def _make_doubt(compared: _Comparison, kind: DoubtKind, row: int, number: int, score: float) -> Doubt:
    item = compared.objects[number]
    return Doubt(
        kind=kind,
        score=score,
        detected=str(compared.names[row]),
        confidence=float(compared.scores[row]),
        box=compared.boxes[row],
        iou=float(compared.ious[row, number]),
        object_index=item.object_index,
        annotated=item.label,
        annotated_box=item.box_xyxy_px,
    )
