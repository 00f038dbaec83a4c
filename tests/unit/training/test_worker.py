"""The process of the first worker, seen from its parent; a real one is in tests/integration/test_worker.py."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from reefline.errors import ConfigError, ReeflineError, UserError
from reefline.structures.artifacts import ModelRunFolder
from reefline.training import worker
from reefline.training.report import StopReason, TrainingReport
from reefline.training.worker import WorkerErrors, join_training, train_in_child

REPORT = TrainingReport(6, 3, StopReason.ALL_STEPS_DONE, 1.5, ())


@pytest.fixture
def run(tmp_path: Path) -> ModelRunFolder:
    """A folder with the errors of an earlier attempt."""
    run = ModelRunFolder(tmp_path)
    WorkerErrors(("from an earlier attempt",)).write(run.errors)
    return run


@pytest.fixture
def set_child(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[ModelRunFolder], None]], None]:
    """Return what sets the work that stands in for the child process."""

    def set_work(work: Callable[[ModelRunFolder], None]) -> None:
        def run_module(module: str, folder: Path, who: str, *, is_worker: bool) -> None:
            assert (module, is_worker) == ("reefline.training.worker", True)
            work(ModelRunFolder(folder))

        monkeypatch.setattr(worker, "run_module", run_module)

    return set_work


def test_the_report_is_that_of_the_child(
    run: ModelRunFolder, set_child: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    set_child(lambda folder: REPORT.write(folder.report))
    assert train_in_child(run) == REPORT
    assert not run.errors.exists()
    assert capsys.readouterr().out == f"  Start every other worker with: reefline train-worker {run.root}\n"


def test_problems_that_the_child_found_are_raised(run: ModelRunFolder, set_child: Callable[..., None]) -> None:
    def work(folder: ModelRunFolder) -> None:
        WorkerErrors(("trainer.batch_size: two\nlines", "trainer.strategy: another")).write(folder.errors)
        raise ReeflineError("the training process ended with code 1: Traceback")

    set_child(work)
    with pytest.raises(UserError, match=r"trainer\.strategy: another") as caught:
        train_in_child(run)
    assert caught.value.problems == ("trainer.batch_size: two\nlines", "trainer.strategy: another")


def test_any_other_failure_is_raised_as_it_is(run: ModelRunFolder, set_child: Callable[..., None]) -> None:
    def work(_: ModelRunFolder) -> None:
        raise ReeflineError("the training process was ended by signal 9")

    set_child(work)
    with pytest.raises(ReeflineError, match="ended by signal 9"):
        train_in_child(run)


def test_ctrl_c_stops_the_parent_after_the_child(run: ModelRunFolder, set_child: Callable[..., None]) -> None:
    def work(_: ModelRunFolder) -> None:
        signal.raise_signal(signal.SIGINT)
        raise ReeflineError("the training process was ended by signal 2")

    set_child(work)
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        train_in_child(run)


def test_a_folder_without_a_training_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no training found \(no job\.json\); pass the folder that worker 0 printed"):
        join_training(ModelRunFolder(tmp_path))
