"""The checkpoint behind the serving model, which a new training can start from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reefline.bundle.manifest import MANIFEST_FILE, read_manifest
from reefline.bundle.store import locate_bundle, read_current
from reefline.errors import CheckpointError
from reefline.settings import TrainerSettings
from reefline.structures.artifacts import ModelRunFolder
from reefline.training.job import TrainingJob


@dataclass(frozen=True)
class ServingCheckpoint:
    """The checkpoint that a serving bundle was exported from: its prefix, and the manifest that names it."""

    prefix: str
    manifest: Path

    @property
    def model_run(self) -> Path:
        """The folder of the training run that wrote it: <model_run>/best/ckpt-N."""
        return Path(self.prefix).parents[1]

    def check(self) -> None:
        """Make sure that the checkpoint still exists.

        Raises:
            CheckpointError: it was deleted or moved.
        """
        if not Path(f"{self.prefix}.index").is_file():
            raise CheckpointError(
                f"trainer.start: {self.manifest} names the checkpoint {self.prefix}, which no longer exists; "
                f"restore it, or set start to {self.manifest.parent}: the bundle's int8 model holds the weights too"
            )

    def find_start_of_equal_training(self, settings: TrainerSettings, data_fingerprint: str) -> str | None:
        """Return what the training behind this checkpoint started from; None if its settings or its data differ.

        Raises:
            BundleError: the manifest is damaged.
        """
        job = ModelRunFolder(self.model_run).job
        if read_manifest(self.manifest.parent).facts.data_fingerprint != data_fingerprint or not job.is_file():
            return None
        made = TrainingJob.read(job)
        return made.start if made.settings == settings else None


def find_serving_checkpoint(home: Path) -> ServingCheckpoint | None:
    """Return the checkpoint behind the bundle that CURRENT in `home` (<serving>/<model>) names; None before any push.

    The checkpoint itself may be missing: see `check`.

    Raises:
        BundleError: CURRENT or the manifest is damaged.
        CheckpointError: the manifest names no checkpoint.
    """
    version = read_current(home.parent, home.name)
    if version is None:
        return None
    bundle = locate_bundle(home.parent, home.name, version)
    prefix = read_manifest(bundle).facts.checkpoint
    if not prefix:
        raise CheckpointError(
            f"trainer.start: {bundle / MANIFEST_FILE} names no checkpoint to start from; "
            f"set start to {bundle} for the weights of the bundle's int8 model"
        )
    return ServingCheckpoint(prefix, bundle / MANIFEST_FILE)
