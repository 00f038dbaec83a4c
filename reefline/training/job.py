"""A training as a folder: what is to be done, what it leaves, and a way to do it in a process of its own.

Several workers train as one where each of them opens the same folder, on a file system that all of them see.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from reefline.errors import ConfigError, ReeflineError, UserError
from reefline.settings import TrainerSettings
from reefline.system.files import write_whole
from reefline.system.interruption import Interruption
from reefline.system.terminal import say
from reefline.training.report import REPORT_FILE, TrainingReport

JOB_FILE = "job.json"
CONFIG_FILE = "pipeline.config"
WORKER_COMMAND = "train-worker"
_ERROR_MARK = "error: "
_SHOWN_LINES = 5


@dataclass(frozen=True)
class TrainingJob:
    """What a training needs beside its pipeline.config; `warm_start_checkpoint` is a prefix, "" where there is none."""

    settings: TrainerSettings
    warm_start_checkpoint: str
    cache_dir: Path

    def write(self, path: Path) -> None:
        """Write the job as JSON; it appears whole or not at all, as workers wait for it."""
        record = {
            "settings": self.settings.to_json(),
            "warm_start_checkpoint": self.warm_start_checkpoint,
            "cache_dir": str(self.cache_dir.resolve()),
        }
        write_whole(path, json.dumps(record, indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> TrainingJob:
        """Read back what `write` wrote.

        Raises:
            ConfigError: there is no such file, or it is damaged.
        """
        try:
            record = json.loads(path.read_text())
            settings = TrainerSettings.from_json(record["settings"])
            return cls(settings, record["warm_start_checkpoint"], Path(record["cache_dir"]))
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(
                f"{path}: no training to take part in ({error}); name the folder that the first worker prints"
            ) from error


def run_job(directory: Path) -> TrainingReport:
    """Do the job of a folder, or one worker's part of it.

    Raises:
        UserError: as `train_detector` does, or where there is no job.
    """
    job = TrainingJob.read(directory / JOB_FILE)
    from reefline.od_api import compat

    compat.apply()
    from reefline.od_api.model_config import read_pipeline_config
    from reefline.training.loop import train_detector

    config = read_pipeline_config(directory / CONFIG_FILE)
    return train_detector(config, job.settings, directory, job.cache_dir, job.warm_start_checkpoint)


def run_job_in_child(directory: Path) -> TrainingReport:
    """Do the job of a folder in a fresh process: only a process that has not used TensorFlow can join a cluster.

    Raises:
        UserError: what the child found to be wrong.
        ReeflineError: the child failed otherwise; the message holds its last lines.
    """
    say(f"  every other worker takes part with: reefline {WORKER_COMMAND} {directory}")
    command = [sys.executable, "-m", "reefline", WORKER_COMMAND, str(directory)]
    # Ctrl-C reaches the child too, which ends by itself.
    with Interruption(), subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        _, output = process.communicate()
    lines = output.decode("utf-8", "replace").strip().splitlines()
    if process.returncode == UserError.exit_code:
        raise UserError(*(line.removeprefix(_ERROR_MARK) for line in lines if line.startswith(_ERROR_MARK)))
    if process.returncode:
        raise ReeflineError(
            f"the training's process ended with code {process.returncode}: {' | '.join(lines[-_SHOWN_LINES:])}"
        )
    return TrainingReport.read(directory / REPORT_FILE)
