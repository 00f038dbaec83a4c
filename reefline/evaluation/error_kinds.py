"""Why a detector loses precision: the error kinds of TIDE, and what each of them costs.

Source of the rules: Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection Errors" (ECCV 2020),
section 2.2, with its thresholds of 0.5 (foreground) and 0.1 (background). A detection that fits several kinds gets the
first in the order of the authors' program: localisation, classification, duplicate, background, both.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reefline.evaluation.curves import RankedDetections
from reefline.evaluation.matching import FOUND_IOU, ImageMatch, match_images
from reefline.structures.boxes import BoxXyxyPx
from reefline.structures.detections import Detections, ScoredImage

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

BACKGROUND_IOU = 0.1


class ErrorKind(str, enum.Enum):
    """What is wrong with a detection, or with an object that none found."""

    CLASSIFICATION = "classification"
    LOCALISATION = "localisation"
    BOTH = "both"
    DUPLICATE = "duplicate"
    BACKGROUND = "background"
    MISSED = "missed"


@dataclass(frozen=True)
class DetectionError:
    """One wrong detection or missed object; class indices are 0-based.

    `truth_class` and `truth_box` are those of the object that the detection was compared with: None for `background`.
    `detected_class`, `score`, `iou` (with that object; for `background` the highest with any) and `box` are None for
    `missed`.
    """

    image_index: int
    kind: ErrorKind
    truth_class: int | None
    detected_class: int | None
    score: float | None
    iou: float | None
    box: BoxXyxyPx | None
    truth_box: BoxXyxyPx | None


@dataclass(frozen=True, eq=False)
class _ImageErrors:
    """What is wrong in one image.

    Per row of the match: `kinds` are indices in _KINDS, or _CORRECT; `objects` the indices of the objects that the rows
    were compared with (for `background` the nearest), -1 without any; `ious` those with them. Per object: whether a
    detection found it, and whether it is missed; one that is neither would be found by a fixed detection.
    """

    kinds: npt.NDArray[np.int64]
    objects: npt.NDArray[np.int64]
    ious: npt.NDArray[np.float64]
    is_found: npt.NDArray[np.bool_]
    is_missed: npt.NDArray[np.bool_]


def find_errors(images: Sequence[ScoredImage], min_scores: Sequence[float] | None = None) -> tuple[DetectionError, ...]:
    """Return all errors, image by image, in each the detections by falling score and then the missed objects.

    With `min_scores`, one per class, detections with a lower score are left out first; TIDE itself counts them all.
    """
    counted = images if min_scores is None else [_drop_below(image, min_scores) for image in images]
    return tuple(
        error
        for index, (image, match) in enumerate(zip(counted, match_images(counted), strict=True))
        for error in _list_errors(index, image, match)
    )


def cost_of_errors(images: Sequence[ScoredImage], class_count: int) -> Mapping[ErrorKind, float]:
    """Return how much mAP_50 would rise if all errors of one kind alone were fixed; 0 where it would not.

    A fixed `classification` or `localisation` error finds its object. Where that is already found, or found by a fixed
    detection with a higher score, the detection is removed, like those of the other kinds. Fixed `missed` objects are
    removed. A class with no object left does not count for mAP_50, as in COCO; where no class is left, mAP_50 is 1.
    Without ground truth every cost is 0.
    """
    table = _tabulate(images, class_count)
    if not table.totals.any():
        return dict.fromkeys(ErrorKind, 0.0)
    before = _map_50(table)
    return {kind: max(0.0, _map_50(_fix(table, kind)) - before) for kind in ErrorKind}


_KINDS = tuple(ErrorKind)
_CORRECT = -1


def _drop_below(image: ScoredImage, min_scores: Sequence[float]) -> ScoredImage:
    import numpy as np

    seen = image.detections
    kept = seen.scores >= np.asarray(min_scores, dtype=np.float64)[seen.class_indices]
    return ScoredImage(
        image.ground_truth, Detections(seen.boxes_xyxy_px[kept], seen.class_indices[kept], seen.scores[kept])
    )


def _judge(match: ImageMatch) -> _ImageErrors:
    import numpy as np

    row_count, object_count = match.ious.shape
    is_found = np.zeros(object_count, dtype=bool)
    is_found[match.found[match.found >= 0]] = True
    if not object_count:
        background = np.full(row_count, _KINDS.index(ErrorKind.BACKGROUND))
        return _ImageErrors(background, np.full(row_count, -1), np.zeros(row_count), is_found, is_found)
    same, other = match.ious * match.is_same_class, match.ious * ~match.is_same_class
    # Each kind's candidates in the order in which they apply: the IoUs that decide, and whether they do.
    tests = (
        (ErrorKind.LOCALISATION, same, (same.max(axis=1) >= BACKGROUND_IOU) & (same.max(axis=1) < FOUND_IOU)),
        (ErrorKind.CLASSIFICATION, other, other.max(axis=1) >= FOUND_IOU),
        (ErrorKind.DUPLICATE, same * is_found, (same * is_found).max(axis=1) >= FOUND_IOU),
        (ErrorKind.BACKGROUND, match.ious, match.ious.max(axis=1) <= BACKGROUND_IOU),
        (ErrorKind.BOTH, match.ious, np.ones(row_count, dtype=bool)),
    )
    kinds, objects = np.full(row_count, _CORRECT), match.found.copy()
    is_open = match.found < 0
    for kind, ious, applies in tests:
        rows = is_open & applies
        kinds[rows], objects[rows] = _KINDS.index(kind), ious[rows].argmax(axis=1)
        is_open &= ~applies
    is_fixable = is_found.copy()
    is_fixable[objects[np.isin(kinds, [_KINDS.index(kind) for kind in _FINDING])]] = True
    return _ImageErrors(kinds, objects, match.ious[np.arange(row_count), objects], is_found, ~is_fixable)


def _list_errors(image_index: int, image: ScoredImage, match: ImageMatch) -> Iterator[DetectionError]:
    errors = _judge(match)
    truth, seen = image.ground_truth, image.detections
    truth_boxes = [BoxXyxyPx(*box) for box in truth.boxes_xyxy_px.tolist()]
    truth_classes = truth.class_indices.tolist()
    rows = zip(errors.kinds.tolist(), errors.objects.tolist(), errors.ious.tolist(), match.rows.tolist(), strict=True)
    for code, found, iou, row in rows:
        if code == _CORRECT:
            continue
        kind = _KINDS[code]
        compared = None if kind is ErrorKind.BACKGROUND else found
        yield DetectionError(
            image_index=image_index,
            kind=kind,
            truth_class=None if compared is None else truth_classes[compared],
            detected_class=int(seen.class_indices[row]),
            score=float(seen.scores[row]),
            iou=iou,
            box=BoxXyxyPx(*seen.boxes_xyxy_px[row].tolist()),
            truth_box=None if compared is None else truth_boxes[compared],
        )
    for index in errors.is_missed.nonzero()[0].tolist():
        missed = ErrorKind.MISSED
        yield DetectionError(image_index, missed, truth_classes[index], None, None, None, None, truth_boxes[index])


# Fixing these makes a detection find its object; fixing the others removes the detection.
_FINDING = (ErrorKind.CLASSIFICATION, ErrorKind.LOCALISATION)


@dataclass(frozen=True, eq=False)
class _Table:
    """The counted detections of all images, best score first, and the objects.

    `kinds` as in _ImageErrors. `objects` are indices in `object_classes` and `is_found`, which join the objects of all
    images. `totals` and `missed` count objects per class.
    """

    classes: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]
    objects: npt.NDArray[np.int64]
    object_classes: npt.NDArray[np.int64]
    is_found: npt.NDArray[np.bool_]
    totals: npt.NDArray[np.int64]
    missed: npt.NDArray[np.int64]


def _tabulate(images: Sequence[ScoredImage], class_count: int) -> _Table:
    import numpy as np

    matches = match_images(images)
    errors = [_judge(match) for match in matches]
    offsets = np.cumsum([0, *(len(each.is_found) for each in errors)])[:-1]
    rows = [
        (image.detections.class_indices[match.rows], each.kinds, image.detections.scores[match.rows], each.objects + at)
        for image, match, each, at in zip(images, matches, errors, offsets, strict=True)
    ]
    classes, kinds, scores, objects = map(np.concatenate, zip(*rows, strict=True)) if rows else [np.zeros(0, int)] * 4
    order = np.argsort(-scores, kind="stable")
    object_classes = _concatenate([image.ground_truth.class_indices for image in images])
    is_missed = _concatenate([each.is_missed for each in errors]).astype(bool)
    return _Table(
        classes=classes[order],
        kinds=kinds[order],
        scores=scores[order],
        objects=objects[order],
        object_classes=object_classes,
        is_found=_concatenate([each.is_found for each in errors]).astype(bool),
        totals=np.bincount(object_classes, minlength=class_count),
        missed=np.bincount(object_classes[is_missed], minlength=class_count),
    )


def _fix(table: _Table, kind: ErrorKind) -> _Table:
    """Return the table after all errors of a kind are fixed."""
    import numpy as np

    if kind is ErrorKind.MISSED:
        return replace(table, totals=table.totals - table.missed)
    rows = np.flatnonzero(table.kinds == _KINDS.index(kind))
    finding = rows[:0]
    if kind in _FINDING:
        free = rows[~table.is_found[table.objects[rows]]]
        # The first of each object is the one with the highest score.
        finding = free[np.unique(table.objects[free], return_index=True)[1]]
    classes, kinds = table.classes.copy(), table.kinds.copy()
    classes[finding], kinds[finding] = table.object_classes[table.objects[finding]], _CORRECT
    kept = np.ones(len(kinds), dtype=bool)
    kept[rows], kept[finding] = False, True
    return replace(
        table, classes=classes[kept], kinds=kinds[kept], scores=table.scores[kept], objects=table.objects[kept]
    )


def _map_50(table: _Table) -> float:
    ranked = (
        RankedDetections(table.scores[table.classes == index], table.kinds[table.classes == index] == _CORRECT, total)
        for index, total in enumerate(table.totals.tolist())
        if total
    )
    precisions = [float(each.precision_at_recall().mean()) for each in ranked]
    return sum(precisions) / len(precisions) if precisions else 1.0


def _concatenate(parts: Sequence[npt.NDArray[np.generic]]) -> npt.NDArray[np.int64]:
    import numpy as np

    return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, dtype=np.int64)
