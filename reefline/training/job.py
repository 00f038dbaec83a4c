"""What a training needs besides its pipeline.config, kept in the training's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reefline.settings import TrainerSettings
from reefline.system.record import Record


@dataclass(frozen=True)
class TrainingJob(Record):
    """The record job.json: other workers train from it, and the exporter reads the seed from it.

    `warm_start_checkpoint` is the prefix of the checkpoint behind the serving model, "" for none. `cache_dir` keeps
    downloaded checkpoints; it is absolute, because workers run in other folders.
    """

    settings: TrainerSettings
    warm_start_checkpoint: str
    cache_dir: Path
