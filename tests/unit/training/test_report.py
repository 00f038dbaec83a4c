from __future__ import annotations

from pathlib import Path

import pytest

from reefline.training.report import EvaluationPoint, TrainingState


def _state(*maps: float | None) -> TrainingState:
    points = [
        EvaluationPoint(step=10 * number, map=value, map_50=value, loss=1.0) for number, value in enumerate(maps, 1)
    ]
    return TrainingState(step=10 * len(maps), seconds=1.5, evaluations=tuple(points))


@pytest.mark.parametrize(
    ("maps", "best_step", "since"),
    [
        pytest.param((), None, 0, id="none-yet"),
        pytest.param((0.1, 0.3, 0.2), 20, 1, id="highest"),
        pytest.param((0.3, 0.3), 10, 1, id="first-of-equals"),
        pytest.param((None, None), 10, 1, id="no-ground-truth"),
        pytest.param((None, 0.0), 20, 0, id="measured-beats-unmeasured"),
    ],
)
def test_the_best_evaluation(maps: tuple[float | None, ...], best_step: int | None, since: int) -> None:
    state = _state(*maps)
    assert (state.best.step if state.best else None) == best_step
    assert state.evaluations_since_best == since


def test_a_state_comes_back_and_nothing_is_the_beginning(tmp_path: Path) -> None:
    assert TrainingState.read(tmp_path / "state.json") == TrainingState()
    state = _state(0.1, None)
    state.write(tmp_path / "state.json")
    assert TrainingState.read(tmp_path / "state.json") == state
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_an_evaluation_is_added_to_a_new_state() -> None:
    before = _state(0.1)
    after = before.with_evaluation(EvaluationPoint(step=20, map=0.2, map_50=0.3, loss=0.5))
    assert len(before.evaluations) == 1
    assert [point.step for point in after.evaluations] == [10, 20]
