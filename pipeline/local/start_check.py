"""Whether a run's weights to start from can be found, before anything else takes time."""

from __future__ import annotations

from pipeline.local.workspace import Workspace
from reefline.bundle.store import read_current
from reefline.errors import CheckpointError
from reefline.settings import StartKeyword, TrainerSettings
from reefline.system.terminal import say
from reefline.training.start_files import StartCache
from reefline.training.starting_point import fetch_start

_TRAINER = "Trainer"


def check_start(settings: TrainerSettings, model: str, workspace: Workspace) -> None:
    """Make sure that the weights to start from are on this machine; a download is kept for Trainer.

    In a workspace that has trained before, missing weights are only a note: a training that is cached needs none.

    Raises:
        CheckpointError: the weights are missing, cannot be downloaded, or have another sha256.
    """
    if settings.start.keyword is StartKeyword.SERVING and read_current(workspace.serving, model) is not None:
        return
    try:
        fetch_start(settings, StartCache(workspace_memory=workspace.start_memory))
    except CheckpointError as error:
        if not (workspace.artifacts / _TRAINER).is_dir():
            raise
        for problem in error.problems:
            say(f"note: {problem} (not needed if this training is cached)")
