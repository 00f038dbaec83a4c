from __future__ import annotations

import json
from pathlib import Path

import pytest

from reefline.errors import RecordError
from reefline.training.report import EvaluationPoint, StopReason, TrainingReport, TrainingState


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


def test_a_state_is_read_back_and_a_missing_file_is_the_beginning(tmp_path: Path) -> None:
    assert TrainingState.read(tmp_path / "state.json") == TrainingState()
    state = _state(0.1, None)
    state.write(tmp_path / "state.json")
    assert TrainingState.read(tmp_path / "state.json") == state
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_a_damaged_state_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"step": "many"')
    with pytest.raises(RecordError, match=r"state\.json: damaged"):
        TrainingState.read(tmp_path / "state.json")


def test_a_state_of_an_earlier_version_still_loads(tmp_path: Path) -> None:
    point = {"step": 10, "map": None, "map_50": 0.25, "loss": 1.0}
    (tmp_path / "state.json").write_text(json.dumps({"step": 10, "seconds": 2.5, "evaluations": [point]}, indent=2))
    expected = TrainingState(10, 2.5, (EvaluationPoint(step=10, map=None, map_50=0.25, loss=1.0),))
    assert TrainingState.read(tmp_path / "state.json") == expected


def test_a_report_is_read_back(tmp_path: Path) -> None:
    points = (EvaluationPoint(step=10, map=0.5, map_50=None, loss=None),)
    report = TrainingReport(10, 10, StopReason.EARLY_STOPPING, 1.5, points, "Starting from ckpt-0.")
    report.write(tmp_path / "training.json")
    assert TrainingReport.read(tmp_path / "training.json") == report
    assert json.loads((tmp_path / "training.json").read_text())["stop_reason"] == "early_stopping"


def test_an_evaluation_is_added_to_a_new_state() -> None:
    before = _state(0.1)
    after = before.with_evaluation(EvaluationPoint(step=20, map=0.2, map_50=0.3, loss=0.5))
    assert len(before.evaluations) == 1
    assert [point.step for point in after.evaluations] == [10, 20]
