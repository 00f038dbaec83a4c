"""Training with several workers, each a process that joins through one folder on a file system they all share."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from reefline.errors import ConfigError, ReeflineError, UserError
from reefline.structures.artifacts import ModelRunFolder
from reefline.system.child_process import run_module
from reefline.system.interruption import Interruption
from reefline.system.record import Record
from reefline.system.terminal import say
from reefline.training.job import TrainingJob
from reefline.training.report import TrainingReport

WORKER_COMMAND = "train-worker"


@dataclass(frozen=True)
class WorkerErrors(Record):
    """What the user has to fix, as a child process found it: one message per problem."""

    problems: tuple[str, ...]


def join_training(run: ModelRunFolder) -> TrainingReport:
    """Do this process's part of the training in `run`; TF_CONFIG names which worker it is.

    Raises:
        ConfigError: the folder holds no training.
        UserError: as `train_detector` does, or a file of the folder is damaged.
    """
    from reefline.od_api.model_config import read_pipeline_config
    from reefline.training.loop import train_detector

    if not run.job.is_file():
        raise ConfigError(f"{run.root}: no training found (no {run.job.name}); pass the folder that worker 0 printed")
    return train_detector(read_pipeline_config(run.pipeline_config), TrainingJob.read(run.job), run)


def train_in_child(run: ModelRunFolder) -> TrainingReport:
    """Train as the first worker, in a fresh process: TensorFlow joins a cluster only before its first use.

    Raises:
        UserError: the problems that the child found.
        ReeflineError: the child failed otherwise; the message holds its last lines.
    """
    say(f"  Start every other worker with: reefline {WORKER_COMMAND} {run.root}")
    run.errors.unlink(missing_ok=True)
    failure: ReeflineError | None = None
    # Ctrl-C reaches the child too, which ends by itself; leaving the block then passes the signal on.
    with Interruption():
        try:
            run_module(__name__, run.root, "the training process", is_worker=True)
        except ReeflineError as error:
            failure = error
    if failure is not None and run.errors.is_file():
        raise UserError(*WorkerErrors.read(run.errors).problems) from failure
    if failure is not None:
        raise failure
    return TrainingReport.read(run.report)


def _main(run: ModelRunFolder) -> None:
    from reefline.od_api import compat

    compat.apply()
    try:
        join_training(run)
    except UserError as error:
        WorkerErrors(error.problems).write(run.errors)
        raise


if __name__ == "__main__":
    _main(ModelRunFolder(Path(sys.argv[1])))
