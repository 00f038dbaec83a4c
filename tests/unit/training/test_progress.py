"""Training progress: plain lines, and a bar on a terminal."""

import io

import pytest

from reefline.training.progress import TrainingProgress
from reefline.training.report import EvaluationPoint


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock.monotonic)
    return clock


def test_lines_show_loss_speed_and_time_left(clock: Clock) -> None:
    stream = io.StringIO()
    with TrainingProgress(100, stream) as bar:
        clock.now_s += 30.0  # the trace does not count
        bar.step(1, 9.0)
        clock.now_s += 20.0
        bar.step(41, 2.5)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "  step 1/100  loss 9.000"
    assert lines[1] == "  step 41/100  loss 2.500  2.00 steps/s  ETA 0:00:30"


def test_evaluations_do_not_count_as_training_time(clock: Clock) -> None:
    stream = io.StringIO()
    point = EvaluationPoint(step=10, map=0.25, map_50=None, loss=1.5)
    with TrainingProgress(21, stream) as bar:
        bar.step(1, 9.0)
        clock.now_s += 10.0
        bar.step(11, 3.0)
        clock.now_s += 600.0
        bar.evaluation(point, EvaluationPoint(step=5, map=0.3, map_50=0.5, loss=1.2), 600.0)
        clock.now_s += 10.0
        bar.step(21, 2.0)
    cycle = "step 10/21  loss 3.000  eval loss 1.500  mAP 0.250  mAP_50 none  best 0.300 (step 5)"
    assert f"  {cycle}  1.00 steps/s  ETA 0:00:10\n" in stream.getvalue()
    assert "step 21/21  loss 2.000  1.00 steps/s" in stream.getvalue()


def test_lines_are_rare(clock: Clock) -> None:
    stream = io.StringIO()
    with TrainingProgress(1000, stream) as bar:
        for step in range(1, 100):
            clock.now_s += 0.1
            bar.step(step, 1.0)
    assert len(stream.getvalue().splitlines()) == 1


def test_a_terminal_gets_a_bar(clock: Clock) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with TrainingProgress(10, stream) as bar:
        bar.step(1, 4.0)
        clock.now_s += 1.0
        bar.step(10, 3.25)
    assert "10/10" in stream.getvalue() and "loss 3.250" in stream.getvalue()


def test_quiet_shows_nothing(clock: Clock) -> None:
    stream = io.StringIO()
    with TrainingProgress(2, stream, quiet=True) as bar:
        bar.step(2, 1.0)
        bar.note("Stopped.")
    assert stream.getvalue() == ""


def test_a_loss_that_is_not_finite_is_shown_as_none() -> None:
    stream = io.StringIO()
    with TrainingProgress(10, stream) as bar:
        bar.evaluation(EvaluationPoint(step=5, map=0.5, map_50=0.5, loss=None), None, 1.0)
    assert "eval loss none  mAP 0.500" in stream.getvalue()


@pytest.mark.parametrize(
    ("total_steps", "lines"),
    [
        pytest.param(
            10_021,
            [
                "  20 steps took 0:00:20: about 2:46:40 left, without evaluations. "
                "To stop, press Ctrl-C: a checkpoint is saved."
            ],
            id="long",
        ),
        pytest.param(3621, [], id="an-hour"),
    ],
)
def test_a_long_rest_is_told_once_after_20_steps(clock: Clock, total_steps: int, lines: list[str]) -> None:
    stream = io.StringIO()
    with TrainingProgress(total_steps, stream) as bar:
        for step in range(1, 30):
            bar.step(step, 1.0)
            clock.now_s += 1.0
    assert [line for line in stream.getvalue().splitlines() if "took" in line] == lines
