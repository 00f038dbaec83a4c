"""The checkpoint behind the serving model, which a new training can start from."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from reefline.bundle.home import Place, to_place
from reefline.bundle.manifest import MANIFEST_FILE
from reefline.bundle.store import Destination, locate_bundle, read_bundle_manifest, read_current
from reefline.errors import CheckpointError
from reefline.settings import TrainerSettings
from reefline.storage.location import Location
from reefline.storage.opening import open_storage
from reefline.storage.transfer import download_objects
from reefline.structures.artifacts import ModelRunFolder
from reefline.training.job import TrainingJob


@dataclass(frozen=True)
class ServingCheckpoint:
    """The checkpoint that a serving bundle was exported from: its prefix, and the manifest that names it."""

    prefix: str
    manifest: Place

    @property
    def model_run(self) -> Place:
        """The folder of the training run that wrote it: <model_run>/best/ckpt-N."""
        return to_place(Location.parse(self.prefix).parent.parent)

    def check(self) -> None:
        """Make sure that the checkpoint still exists.

        Raises:
            CheckpointError: it was deleted or moved.
        """
        if not checkpoint_exists(self.prefix):
            raise CheckpointError(
                f"trainer.start: {self.manifest} names the checkpoint {self.prefix}, which no longer exists; "
                f"restore it, or set start to {self.manifest.parent}: the bundle's int8 model holds the weights too"
            )

    def find_start_of_equal_training(self, settings: TrainerSettings, data_fingerprint: str) -> str | None:
        """Return what the training behind this checkpoint started from; None if its settings or its data differ.

        Raises:
            BundleError: the manifest is damaged.
            RecordError: the training's job.json is damaged.
            StorageError: one of them cannot be read.
        """
        bundle = Location.parse(self.manifest).parent
        home = bundle.parent
        facts = read_bundle_manifest(str(home.parent), home.name, int(bundle.name)).facts
        if facts.data_fingerprint != data_fingerprint:
            return None
        # By its name alone: the training's folder may be in an object store.
        name = ModelRunFolder(Path()).job.name
        kept = open_storage(Location.parse(self.prefix).parent.parent).read(name)
        if kept is None:
            return None
        job = TrainingJob.parse(kept.data, self.model_run / name)
        return job.start if job.settings == settings else None


def checkpoint_exists(prefix: str) -> bool:
    """Return whether a checkpoint is where its prefix, a path or URI, says.

    Raises:
        StorageError: its store cannot be read.
    """
    index = Location.parse(f"{prefix}.index")
    return open_storage(index.parent).read(index.name) is not None


def provide_checkpoint(prefix: str, cache: Path) -> str | None:
    """Return a checkpoint's prefix on this machine, downloaded into `cache` if it is a URI; None if it does not exist.

    Raises:
        StorageError: its store cannot be read.
    """
    location = Location.parse(prefix)
    if not location.is_remote:
        return prefix if Path(f"{prefix}.index").is_file() else None
    storage = open_storage(location.parent)
    # ckpt-7.index, ckpt-7.data-00000-of-00001
    files = [stored for stored in storage.list_objects() if stored.name.startswith(f"{location.name}.")]
    if f"{location.name}.index" not in [stored.name for stored in files]:
        return None
    identity = hashlib.sha256(repr([(stored.name, stored.revision.etag) for stored in files]).encode()).hexdigest()
    target = cache / f"serving-{identity[:16]}"
    if not target.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=cache))
        try:
            download_objects(storage, files, partial)
            partial.rename(target)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            # Another process may have been faster; its copy is as good.
            if not target.is_dir():
                raise
    return str(target / location.name)


def find_serving_checkpoint(home: Destination) -> ServingCheckpoint | None:
    """Return the checkpoint behind the bundle that CURRENT in `home` (<serving>/<model>) names; None before any push.

    The checkpoint itself may be missing: see `check`.

    Raises:
        BundleError: CURRENT or the manifest is damaged.
        CheckpointError: the manifest names no checkpoint.
        StorageError: the store cannot be read.
    """
    folder = Location.parse(home)
    version = read_current(folder.parent, folder.name)
    if version is None:
        return None
    bundle = locate_bundle(folder.parent, folder.name, version)
    prefix = read_bundle_manifest(folder.parent, folder.name, version).facts.checkpoint
    if not prefix:
        raise CheckpointError(
            f"trainer.start: {bundle / MANIFEST_FILE} names no checkpoint to start from; "
            f"set start to {bundle} for the weights of the bundle's int8 model"
        )
    return ServingCheckpoint(prefix, bundle / MANIFEST_FILE)
