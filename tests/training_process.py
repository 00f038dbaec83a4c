"""A training in a separate process, for tests that kill it: run as a module, with folder, data and settings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from reefline.settings import TrainerSettings
from reefline.structures.artifacts import ModelRunFolder
from reefline.training.job import TrainingJob
from tests.factories_training import build_config

_INTERRUPTED = 130
REPO_DIR = Path(__file__).resolve().parents[1]


def start_training(folder: Path, data: Path, settings: TrainerSettings, **environment: str) -> subprocess.Popen[str]:
    """Start a training that writes to `folder` what train_detector writes."""
    return subprocess.Popen(
        [sys.executable, "-m", __name__, str(folder), str(data), settings.to_json()],
        cwd=REPO_DIR,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _main(folder: Path, data: Path, settings: TrainerSettings) -> None:
    from reefline.od_api import compat

    compat.apply()
    from reefline.training.loop import train_detector

    try:
        job = TrainingJob(settings, "", folder / "cache")
        train_detector(build_config(data, settings), job, ModelRunFolder(folder))
    except KeyboardInterrupt:
        # As local_runner.py does: TensorFlow's input threads may delay an orderly exit by a minute.
        os._exit(_INTERRUPTED)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]), TrainerSettings.from_json(sys.argv[3]))
