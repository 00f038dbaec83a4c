"""The columns of a class head that come along by name: what a detector knows of a class, where the data has it too."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from reefline.structures.coco_labels import COCO_LABELS
from reefline.tflite.metadata import read_embedded_labels

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class ClassColumns:
    """Which columns of a class head to keep: `slots` maps a column here to the one in the file, per anchor.

    A head has `here` columns per anchor, the file's has `there`; a background column, if any, is the first of both.
    `names` are the classes that are kept, as the data spells them.
    """

    here: int
    there: int
    slots: Mapping[int, int]
    names: tuple[str, ...]

    def fits(self, channels_here: int, channels_there: int) -> bool:
        """Return whether two heads of so many output channels have the same number of anchors."""
        anchors, rest = divmod(channels_here, self.here)
        return bool(self.slots) and not rest and anchors * self.there == channels_there

    def merge(self, mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        """Return a copy of `mine` with the kept columns of `theirs`; both are [..., anchors * columns]."""
        result = mine.reshape((*mine.shape[:-1], -1, self.here)).copy()
        source = theirs.reshape((*theirs.shape[:-1], -1, self.there))
        for slot, other in self.slots.items():
            result[..., slot] = source[..., other]
        merged: np.ndarray = result.reshape(mine.shape)
        return merged


def match_classes(names: Sequence[str], labels: Sequence[Optional[str]], *, background: int) -> ClassColumns:
    """Return the columns to keep: of classes with equal names but for their case, and of the background with them.

    `labels` are those of the file in the order of its class ids, None for an id without a class; `background` is 1 if
    heads have a background column, else 0.
    """
    known = {label.strip().lower(): index for index, label in enumerate(labels) if label is not None}
    kept = {index: known[name.strip().lower()] for index, name in enumerate(names) if name.strip().lower() in known}
    slots = {background + mine: background + theirs for mine, theirs in kept.items()}
    if slots and background:
        slots[0] = 0
    return ClassColumns(
        here=len(names) + background,
        there=len(labels) + background,
        slots=slots,
        names=tuple(names[index] for index in kept),
    )


def find_labels(path: Path, classes: int) -> Sequence[Optional[str]]:
    """Return the names of a TFLite detector's `classes` classes; empty if they are unknown.

    They are the labels inside the file or, for a detector of 90 classes without any, those of COCO, which is the only
    data set that is known to leave gaps among 90 ids.
    """
    try:
        labels: Sequence[Optional[str]] = read_embedded_labels(path.read_bytes())
    except (zipfile.BadZipFile, KeyError, UnicodeDecodeError):
        labels = COCO_LABELS
    return labels if len(labels) == classes else ()
