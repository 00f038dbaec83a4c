"""The model that serves: a bundle loaded once per interpreter, and how a new CURRENT is noticed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reefline.bundle.checking import verify_for_use
from reefline.bundle.home import CURRENT_FILE
from reefline.bundle.manifest import MANIFEST_FILE
from reefline.bundle.remote_bundle import open_bundle
from reefline.bundle.store import open_home
from reefline.errors import BundleError
from reefline.inference.detect.detect_objects import choose_min_scores
from reefline.inference.detect.records import Device
from reefline.inference.detect.runtime import LoadedModel, load_models
from reefline.storage.location import Location
from reefline.storage.opening import open_storage


@dataclass(frozen=True)
class ModelRequest:
    """Which bundle serves, and how.

    `place` is a bundle's folder or URI, or that of a model: then the version that its CURRENT names serves.
    `min_score` is 0..1, None for the thresholds that the bundle suggests.
    """

    place: Location
    device: Device = Device.AUTO
    interpreters: int = 1
    min_score: float | None = None
    public_key: Path | None = None


@dataclass(frozen=True)
class ServingModel:
    """A loaded bundle, one model per interpreter; `min_scores` has the lowest score to report of each class."""

    name: str
    version: int
    models: tuple[LoadedModel, ...]
    min_scores: Mapping[str, float]


def follows_current(place: Location) -> bool:
    """Return whether a place is a model's folder with a CURRENT, not one version's bundle.

    Raises:
        BundleError: it is neither.
        StorageError: the store cannot be read.
    """
    if place.is_remote:
        storage = open_storage(place)
        found = {name for name in (MANIFEST_FILE, CURRENT_FILE) if storage.read(name) is not None}
    else:
        found = {name for name in (MANIFEST_FILE, CURRENT_FILE) if (place.local_path / name).is_file()}
    if not found:
        raise BundleError(
            f"{place}: no bundle found; pass a model's folder, such as <workspace>/serving/<model>, or one version's"
        )
    return MANIFEST_FILE not in found


def read_serving_version(place: Location) -> int:
    """Return the version that the CURRENT in a model's folder names.

    Raises:
        BundleError: nothing serves, or CURRENT is damaged.
        WorkspaceError, StorageError: it cannot be read.
    """
    current = open_home(place.parent, place.name).read_current()
    if current is None:
        raise BundleError(f"{place / CURRENT_FILE}: missing, so no version serves; push a bundle first")
    return current.version


def load_serving_model(request: ModelRequest, version: int | None) -> ServingModel:
    """Load, verify and warm up a version of the model at a place; None means that the place is the bundle.

    Raises:
        BundleError: the bundle is missing, damaged or not signed, or cannot be run.
        UsageError: the Edge TPU is requested but cannot be used, or the public key cannot be read.
        StorageError: the store cannot be read.
    """
    bundle = open_bundle(request.place if version is None else request.place / str(version))
    manifest = verify_for_use(bundle, request.public_key)
    models = load_models(bundle, manifest, request.device, request.interpreters)
    for model in models:
        model.detector.warm_up()
    return ServingModel(
        name=manifest.facts.model,
        version=manifest.version,
        models=models,
        min_scores=choose_min_scores(request.min_score, manifest, models[0].labels),
    )
