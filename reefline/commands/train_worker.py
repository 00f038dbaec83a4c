"""`reefline train-worker`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train_worker(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="the folder that the first worker prints")],
) -> None:
    """Join a training with several workers. For trainer.strategy: multi_worker; TF_CONFIG names this worker."""
    from reefline.od_api import compat

    compat.apply()
    from reefline.structures.artifacts import ModelRunFolder
    from reefline.training.worker import join_training

    join_training(ModelRunFolder(folder))
