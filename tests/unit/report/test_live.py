"""reefline/report/live.py: the state of a run that another process is really in the middle of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reefline.lineage.records import ExecutionState
from reefline.report import live
from reefline.report.live import LiveReader, LiveState, find_run_under_way, is_locked
from reefline.settings import TrainerSettings
from reefline.structures.artifacts import ModelRunFolder
from reefline.training.job import TrainingJob
from reefline.training.report import EvaluationPoint, TrainingState
from tests.factories_lineage import make_execution, make_run
from tests.factories_server import serve_reports
from tests.factories_summary import make_blessed, write_run

REPO_DIR = Path(__file__).resolve().parents[3]
RUN = "20260102T120000"
DEADLINE_S = 60.0


class LiveRun:
    """The other process; see tests/live_process.py."""

    def __init__(self, workspace: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.live_process", str(workspace), RUN],
            cwd=REPO_DIR,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout and self.process.stdout.readline() == "ready\n"

    def tell(self, command: str) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"


@pytest.fixture
def live_run(tmp_path: Path) -> Iterator[LiveRun]:
    write_run(tmp_path / "reports", make_blessed("20260101T120000"))
    run = LiveRun(tmp_path)
    yield run
    run.process.kill()
    run.process.wait()


def _wait_for(read: Callable[[], Any], wanted: Callable[[Any], bool]) -> Any:
    deadline_s = time.monotonic() + DEADLINE_S
    while not wanted(state := read()):
        assert time.monotonic() < deadline_s, state
        time.sleep(0.05)
    return state


def test_a_run_is_followed_from_step_to_step_to_its_end(tmp_path: Path, live_run: LiveRun) -> None:
    with serve_reports(tmp_path) as server:

        def read() -> dict[str, Any]:
            with urllib.request.urlopen(f"{server.url}live.json") as answer:
                return json.loads(answer.read())

        first = _wait_for(read, lambda state: state["training"] and state["training"]["step"] > 1)
        assert (first["is_running"], first["run_id"], first["component"]) == (True, RUN, "Trainer")
        assert first["since"].startswith("20") and first["since"].endswith("+00:00")
        assert [(one["component"], one["state"]) for one in first["components"]] == [
            ("VocExampleGen", "done"),
            ("Trainer", "running"),
        ]
        assert first["training"]["last_evaluation"] is None
        later = _wait_for(read, lambda state: state["training"]["step"] > first["training"]["step"])["training"]
        assert later["total_steps"] == 100_000
        assert later["loss"] == pytest.approx(4.0 / later["step"])
        assert later["learning_rate"] == 0.01
        # 20 steps every 50 ms, or less often on a busy machine.
        assert 5.0 < later["steps_per_s"] < 2000.0
        assert later["eta_s"] == pytest.approx((100_000 - later["step"]) / later["steps_per_s"], rel=0.01)
        live_run.tell("evaluate")
        evaluated = read()["training"]
        assert (
            evaluated["last_evaluation"] == evaluated["best"] == {"step": 20, "map": 0.25, "map_50": 0.5, "loss": 1.5}
        )
        live_run.tell("finish")
        _wait_for(read, lambda state: state == LiveState(is_running=False).to_json())


def test_a_killed_run_is_over(tmp_path: Path, live_run: LiveRun) -> None:
    """ML Metadata still calls its Trainer running; the lock went with the process."""
    reader = LiveReader(tmp_path)
    assert reader.read().component == "Trainer"
    assert find_run_under_way(tmp_path) == RUN
    live_run.process.kill()
    live_run.process.wait()
    assert reader.read() == LiveState(is_running=False)
    assert find_run_under_way(tmp_path) is None


def test_the_reader_takes_no_lock(tmp_path: Path, live_run: LiveRun) -> None:
    lock_file = tmp_path / ".lock"
    assert is_locked(lock_file)
    live_run.tell("finish")
    live_run.process.wait()
    assert not is_locked(lock_file)
    again = subprocess.Popen(["flock", "--nonblock", str(lock_file), "sleep", "30"])
    try:
        # flock(1) writes no process id: the id in the file is that of a process that is gone.
        time.sleep(0.2)
        assert again.poll() is None
        assert not is_locked(lock_file)
    finally:
        again.kill()
        again.wait()


@pytest.mark.parametrize("content", [None, "", "no number", "0x12"], ids=["missing", "empty", "text", "hexadecimal"])
def test_a_lock_file_that_names_no_process(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / ".lock").write_text(content)
    assert not is_locked(tmp_path / ".lock")


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(live, "is_locked", lambda _lock_file: True)
    (tmp_path / "reports").mkdir()
    return tmp_path


def test_a_run_that_has_just_started(locked: Path) -> None:
    assert LiveReader(locked).read() == LiveState(is_running=True)
    (locked / "reports" / RUN).mkdir()
    assert LiveReader(locked).read() == LiveState(is_running=True, run_id=RUN)


def test_metadata_that_cannot_be_read_is_a_problem_for_now(locked: Path) -> None:
    (locked / "reports" / RUN).mkdir()
    (locked / "metadata.db").write_text("not a database")
    state = LiveReader(locked).read()
    assert (state.is_running, state.component) == (True, "")
    assert "cannot read ML Metadata" in state.problem


def test_the_newest_run_without_a_summary_is_the_one_under_way(locked: Path) -> None:
    for run_id in ("20260102T120000", "20260102T120000-9", "20260102T120000-10", "20260101T120000"):
        (locked / "reports" / run_id).mkdir()
    write_run(locked / "reports", make_blessed("20260103T120000"))
    assert find_run_under_way(locked) == "20260102T120000-10"


@pytest.fixture
def training(locked: Path, monkeypatch: pytest.MonkeyPatch) -> ModelRunFolder:
    """A training that has not logged a step yet."""
    (locked / "reports" / RUN).mkdir()
    folder = ModelRunFolder(locked / "training")
    folder.root.mkdir()
    TrainingJob(TrainerSettings(model="m", num_steps=100), "", locked).write(folder.job)
    monkeypatch.setattr(live, "read_run", lambda *_: make_run(make_execution("Trainer", ExecutionState.RUNNING)))
    monkeypatch.setattr(live, "find_unfinished_training", lambda _run: folder)
    return folder


def _log(training: ModelRunFolder, step: int, at_s: float) -> None:
    with training.history.open("a") as history:
        history.write(json.dumps({"step": step, "loss": 1.0, "learning_rate": 0.1}) + "\n")
    os.utime(training.history, (at_s, at_s))


def test_the_speed_is_that_between_logged_steps(locked: Path, training: ModelRunFolder) -> None:
    reader = LiveReader(locked)

    def speed() -> tuple[int, float | None, float | None]:
        state = reader.read().training
        assert state is not None
        return state.step, state.steps_per_s, state.eta_s

    assert speed() == (0, None, None)
    _log(training, 1, 1000.0)
    assert speed() == (1, None, None)
    assert speed() == (1, None, None)
    _log(training, 21, 1010.0)
    assert speed() == (21, 2.0, 39.5)
    # A training that starts over is measured anew.
    training.history.unlink()
    _log(training, 1, 1100.0)
    assert speed() == (1, None, None)


def test_a_reader_that_comes_late_uses_the_mean_until_the_checkpoint(locked: Path, training: ModelRunFolder) -> None:
    TrainingState(50, 25.0, (EvaluationPoint(50, 0.1, 0.2, 1.0), EvaluationPoint(50, None, None, None))).write(
        training.state
    )
    _log(training, 60, 1000.0)
    state = LiveReader(locked).read().training
    assert state is not None
    assert (state.step, state.steps_per_s, state.eta_s) == (60, 2.0, 20.0)
    assert (state.best, state.last_evaluation) == (
        EvaluationPoint(50, 0.1, 0.2, 1.0),
        EvaluationPoint(50, None, None, None),
    )


def test_a_loss_that_is_no_number_is_unknown(locked: Path, training: ModelRunFolder) -> None:
    training.history.write_text('{"step": 3, "loss": NaN, "learning_rate": 0.1}\n{"step": 4, "lo')
    state = LiveReader(locked).read().training
    assert state is not None and (state.step, state.loss) == (3, None)


@pytest.mark.parametrize("file", ["job", "state", "history"])
def test_a_damaged_file_of_the_training_is_a_problem(locked: Path, training: ModelRunFolder, file: str) -> None:
    getattr(training, file).write_text("{\n")
    state = LiveReader(locked).read()
    assert state.training is None and "damaged" in state.problem


@pytest.mark.parametrize(
    "component", [pytest.param("Trainer", id="before-its-first-file"), pytest.param("ModelScorer", id="another")]
)
def test_no_training_to_follow(locked: Path, monkeypatch: pytest.MonkeyPatch, component: str) -> None:
    (locked / "reports" / RUN).mkdir()
    run = make_run(make_execution("VocExampleGen", seconds=2.0), make_execution(component, ExecutionState.RUNNING))
    monkeypatch.setattr(live, "read_run", lambda _metadata_db, _run_id: run)
    state = LiveReader(locked).read()
    assert (state.component, state.training, state.problem) == (component, None, "")
    assert (state.components[0].seconds, state.components[0].state) == (2.0, ExecutionState.DONE)
