"""The seconds of a step: a median of enough steps, in a limited time."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest

from reefline.recommendation.measure import MORE_STEPS, time_more_steps


@pytest.mark.parametrize(
    ("seconds", "steps", "median_s"),
    [
        pytest.param(itertools.cycle([0.1, 0.1, 0.3]), MORE_STEPS, 0.1, id="a-median-of-all"),
        pytest.param(itertools.repeat(2.0), 5, 2.0, id="no-longer-than-ten-seconds"),
        pytest.param(itertools.repeat(8.0), 2, None, id="too-few"),
    ],
)
def test_the_seconds_of_a_step(
    monkeypatch: pytest.MonkeyPatch, seconds: Iterable[float], steps: int, median_s: float | None
) -> None:
    now_s, done, durations = [0.0], [0], iter(seconds)

    def run_step() -> None:
        done[0] += 1
        now_s[0] += next(durations)

    monkeypatch.setattr("time.monotonic", lambda: now_s[0])
    found = time_more_steps(run_step)
    assert done[0] == steps
    assert found == (None if median_s is None else pytest.approx(median_s))
