"""The confusion matrices behind the slider."""

from __future__ import annotations

import numpy as np
import pytest

from reefline.evaluation.confusion import ConfusionOverThresholds, confusion_over_thresholds
from reefline.report.sections.quality_confusion import MAX_CLASSES, ConfusionView, view_confusion
from tests.factories_evaluation import make_scored_image

IMAGE = make_scored_image(
    [(0, 0, 10, 10, 0), (20, 0, 30, 10, 1), (40, 0, 50, 10, 1)],
    [(0, 0, 10, 10, 0, 0.9), (20, 0, 30, 10, 0, 0.6), (40, 0, 50, 10, 1, 0.3), (70, 0, 80, 10, 1, 0.2)],
)


def view(suggested: tuple[float, ...] = ()) -> ConfusionView:
    return view_confusion(confusion_over_thresholds([IMAGE], 2), ("cat", "dog"), suggested)


def read(cells: list[int], size: int) -> np.ndarray:
    """Return the matrix that the page's script reads from its data."""
    matrix = np.zeros((size, size), np.int64)
    for row, column, count in np.reshape(cells, (-1, 3)):
        matrix[row, column] = count
    return matrix


@pytest.mark.parametrize(
    ("suggested", "threshold", "sentence"),
    [
        pytest.param((), 0.5, "1 correct, 1 as another class, 1 missed, 0 on background", id="no-suggestion"),
        pytest.param((0.31, 0.9, 0.29), 0.3, "2 correct, 1 as another class, 0 missed, 0 on background", id="median"),
        pytest.param((0.0,), 0.05, "2 correct, 1 as another class, 0 missed, 1 on background", id="lowest"),
    ],
)
def test_the_matrix_starts_at_the_median_suggestion(
    suggested: tuple[float, ...], threshold: float, sentence: str
) -> None:
    shown = view(suggested)
    assert shown.thresholds[shown.start] == threshold
    assert shown.sentence == f"At confidence {threshold:.2f} and above: {sentence}"


def test_rows_hold_counts_and_their_share_of_the_row() -> None:
    rows = view().rows
    assert [[cell.count for cell in row] for row in rows] == [[1, 0, 0], [1, 0, 1], [0, 0, 0]]
    assert [[cell.heat for cell in row] for row in rows] == [[5, 0, 0], [3, 0, 3], [0, 0, 0]]


def test_the_scripts_data_are_the_matrices() -> None:
    shown = view()
    data = shown.to_json()
    assert (data["size"], data["start"], data["thresholds"][0], data["thresholds"][-1]) == (3, 9, "0.05", "0.95")
    for cells, matrix in zip(data["cells"], shown.counts, strict=True):
        assert (read(cells, 3) == matrix).all()
    assert data["cells"][-1] == [0, 2, 1, 1, 2, 2]


def test_of_many_classes_those_that_are_confused_are_shown() -> None:
    counts = np.zeros((2, 42, 42), np.int64)
    counts[:, range(41), range(41)] = 9
    counts[0, 3, 17], counts[1, 40, 3], counts[1, 5, -1] = 1, 2, 7
    names = tuple(f"class {number}" for number in range(41))
    shown = view_confusion(ConfusionOverThresholds((0.4, 0.5), counts), names, ())
    assert (shown.labels, shown.classes_left_out) == (("class 3", "class 17", "class 40"), 38)
    assert shown.counts[1].tolist() == [[9, 0, 0, 0], [0, 9, 0, 0], [2, 0, 9, 0], [0, 0, 0, 0]]


def test_more_confused_classes_than_fit_are_those_most_often_confused() -> None:
    counts = np.zeros((1, 42, 42), np.int64)
    counts[0, range(40), range(1, 41)] = range(40)
    shown = view_confusion(ConfusionOverThresholds((0.5,), counts), tuple(map(str, range(41))), ())
    assert shown.labels == tuple(map(str, range(11, 41)))
    assert len(shown.labels) == MAX_CLASSES


def test_of_many_classes_none_of_which_is_confused_only_the_background_is_left() -> None:
    counts = np.zeros((1, 42, 42), np.int64)
    counts[0, range(41), range(41)] = 9
    counts[0, 5, -1] = 2
    shown = view_confusion(ConfusionOverThresholds((0.5,), counts), tuple(map(str, range(41))), ())
    assert (shown.labels, shown.classes_left_out, shown.counts.tolist()) == ((), 41, [[[0]]])
