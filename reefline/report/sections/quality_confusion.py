"""The confusion matrix of the quality section: one per confidence threshold, for the reader's slider."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from reefline.evaluation.confusion import ConfusionOverThresholds

# A table of this many classes still fits on a page.
MAX_CLASSES = 30
_USUAL_THRESHOLD = 0.5
HEAT_LEVELS = 5


@dataclass(frozen=True)
class Cell:
    """A cell: how often, and its share of the row as a level of 0 (nothing) to HEAT_LEVELS."""

    count: int
    heat: int


@dataclass(frozen=True, eq=False)
class ConfusionView:
    """The shown part of the matrices, background last; `start` is the index of the threshold shown first.

    `counts` is int64 of shape [thresholds, labels + 1, labels + 1]: rows are the true class, columns the detected one.
    """

    labels: tuple[str, ...]
    classes_left_out: int
    thresholds: tuple[float, ...]
    counts: npt.NDArray[np.int64]
    start: int

    @property
    def rows(self) -> tuple[tuple[Cell, ...], ...]:
        """The matrix at the threshold shown first."""
        return tuple(_make_row(row) for row in self.counts[self.start].tolist())

    @property
    def sentence(self) -> str:
        """What the matrix at the threshold shown first adds up to."""
        matrix = self.counts[self.start]
        right = int(matrix[:-1, :-1].trace())
        confused = int(matrix[:-1, :-1].sum()) - right
        return (
            f"At confidence {self.thresholds[self.start]:.2f} and above: {right} correct, {confused} as another class, "
            f"{int(matrix[:-1, -1].sum())} missed, {int(matrix[-1, :-1].sum())} on background"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the data of the script: for each threshold row, column and count of every cell that is not 0."""
        return {
            "start": self.start,
            "thresholds": [f"{threshold:.2f}" for threshold in self.thresholds],
            "size": len(self.labels) + 1,
            "levels": HEAT_LEVELS,
            "cells": [_list_cells(matrix) for matrix in self.counts],
        }


def view_confusion(
    confusion: ConfusionOverThresholds, class_names: Sequence[str], suggested: Sequence[float]
) -> ConfusionView:
    """Return what the page shows; it starts at the threshold nearest to the median of the `suggested` ones.

    Of more than MAX_CLASSES classes, those most often confused with another class are shown.
    """
    import numpy as np

    shown = _choose_classes(confusion.counts)
    places = np.array([*shown, len(class_names)], dtype=np.int64)
    wanted = statistics.median(suggested) if suggested else _USUAL_THRESHOLD
    start = min(range(len(confusion.thresholds)), key=lambda place: abs(confusion.thresholds[place] - wanted))
    return ConfusionView(
        labels=tuple(class_names[place] for place in shown),
        classes_left_out=len(class_names) - len(shown),
        thresholds=confusion.thresholds,
        counts=confusion.counts[:, places][:, :, places],
        start=start,
    )


def _choose_classes(counts: npt.NDArray[np.int64]) -> list[int]:
    """Return the indices of the classes to show, rising."""
    import numpy as np

    between = counts[:, :-1, :-1].sum(axis=0)
    if len(between) <= MAX_CLASSES:
        return list(range(len(between)))
    np.fill_diagonal(between, 0)
    confusions = between.sum(axis=0) + between.sum(axis=1)
    worst = np.argsort(-confusions, kind="stable")[:MAX_CLASSES]
    return sorted(worst[confusions[worst] > 0].tolist())


def _make_row(counts: Sequence[int]) -> tuple[Cell, ...]:
    total = sum(counts)
    return tuple(Cell(count, -(-HEAT_LEVELS * count // total) if total else 0) for count in counts)


def _list_cells(matrix: npt.NDArray[np.int64]) -> list[int]:
    """Return row, column, count, row, column, count, … of the cells that are not 0."""
    import numpy as np

    rows, columns = np.nonzero(matrix)
    cells: list[int] = np.stack([rows, columns, matrix[rows, columns]], axis=1).ravel().tolist()
    return cells
