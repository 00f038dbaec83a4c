from __future__ import annotations

from pathlib import Path

import pytest

from reefline.errors import RecordError
from reefline.training.history import TrainingHistory, TrainingPoint, read_history

POINTS = tuple(TrainingPoint(step, loss=10.0 / step, learning_rate=0.01) for step in (1, 20, 40, 60))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    history = TrainingHistory(tmp_path / "history.jsonl", resumed_step=0)
    for point in POINTS:
        history.append(point)
    return tmp_path / "history.jsonl"


def test_points_are_read_back_while_training_runs(path: Path) -> None:
    assert read_history(path) == POINTS
    assert read_history(path.with_name("missing.jsonl")) == ()


def test_a_resumed_run_drops_the_points_after_its_checkpoint(path: Path) -> None:
    resumed = TrainingHistory(path, resumed_step=40)
    resumed.append(TrainingPoint(60, 7.0, 0.02))
    assert read_history(path) == (*POINTS[:3], TrainingPoint(60, 7.0, 0.02))


def test_a_run_without_a_checkpoint_starts_over(path: Path) -> None:
    TrainingHistory(path, resumed_step=0)
    assert read_history(path) == ()


@pytest.mark.parametrize(
    "torn",
    [
        pytest.param('{"step": 80, "lo', id="half"),
        pytest.param('{"step": 80, "loss": 1.0, "learning_rate": 0.01}', id="without-its-line-break"),
    ],
)
def test_an_incomplete_last_line_is_left_out_and_then_dropped(path: Path, torn: str) -> None:
    with path.open("a") as file:
        file.write(torn)
    assert read_history(path) == POINTS
    TrainingHistory(path, resumed_step=60).append(TrainingPoint(80, 2.0, 0.01))
    assert read_history(path) == (*POINTS, TrainingPoint(80, 2.0, 0.01))


def test_another_damaged_line_is_an_error_that_names_it(path: Path) -> None:
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], '{"step": "x"}', *lines[2:], ""]))
    with pytest.raises(RecordError, match=r"history\.jsonl, line 2: step: damaged"):
        read_history(path)


def test_only_the_chief_writes(tmp_path: Path) -> None:
    TrainingHistory(tmp_path / "history.jsonl", resumed_step=0, is_chief=False).append(POINTS[0])
    assert list(tmp_path.iterdir()) == []
