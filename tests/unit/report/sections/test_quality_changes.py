"""Which images of candidate and baseline are shown."""

from __future__ import annotations

import pytest

from reefline.evaluation.comparison import Comparison, ImageChange, ImageTally
from reefline.report.sections.quality_changes import MAX_FIGURES, choose_changes


def make_changes(count: int, first: int) -> tuple[ImageChange, ...]:
    """Return changes of images that count up from `first`."""
    return tuple(ImageChange(first + number, ImageTally(1, 0, 0), ImageTally(0, 0, 1)) for number in range(count))


@pytest.mark.parametrize(
    ("better", "worse", "chosen"),
    [
        pytest.param(2, 1, [0, 100, 1], id="more-better"),
        pytest.param(1, 3, [0, 100, 101, 102], id="more-worse"),
        pytest.param(0, 0, [], id="same"),
        pytest.param(0, 9, list(range(100, 100 + MAX_FIGURES)), id="at-most"),
    ],
)
def test_better_and_worse_take_turns(better: int, worse: int, chosen: list[int]) -> None:
    comparison = Comparison(make_changes(better, 0), make_changes(worse, 100), 5)
    assert [change.image_index for change in choose_changes(comparison)] == chosen
