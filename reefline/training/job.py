"""What a training needs besides its pipeline.config, kept in the training's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reefline.settings import TrainerSettings
from reefline.system.record import Record


@dataclass(frozen=True)
class TrainingJob(Record):
    """The record job.json: other workers train from it, and the exporter reads the seed from it.

    `start` is what Trainer's driver resolved (a StartIdentity as text), "" if it did not run. `cache_dir` keeps
    downloaded files; it is absolute, because workers run in other folders.
    """

    settings: TrainerSettings
    start: str
    cache_dir: Path


def identify_training(
    settings: str, edge_tpu: str, code: str, examples_uri: str, label_map_uri: str, start: str
) -> tuple[str, ...]:
    """Return what identifies a training: everything in Trainer's cache key, in one order.

    A stopped training is resumed only where nothing has changed.
    """
    return settings, edge_tpu, code, examples_uri, label_map_uri, start
