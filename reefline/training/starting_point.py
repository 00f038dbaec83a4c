"""Where training starts: turns trainer.start into a checkpoint or a TFLite file on disk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from reefline.bundle.manifest import MANIFEST_FILE
from reefline.errors import BundleError, CheckpointError
from reefline.od_api.model_config import ModelTemplate, check_start, load_template
from reefline.od_api.zoo import ZOO_TEMPLATES, find_zoo_name, locate_in_zoo
from reefline.settings import CheckpointType, Start, StartKeyword, TrainerSettings
from reefline.system.files import hash_file
from reefline.tflite.convolutions import read_convolutions
from reefline.tflite.reader import is_tflite
from reefline.training.bundle_start import open_bundle
from reefline.training.checkpoint_files import find_prefix, unpack
from reefline.training.serving_checkpoint import provide_checkpoint
from reefline.training.start_files import StartCache, is_web_url, locate_path
from reefline.training.start_identity import StartIdentity


@dataclass(frozen=True)
class StartingPoint:
    """What training starts from: a checkpoint's prefix or a TFLite file, neither for new weights.

    `size_px` is (height, width) of the model in a Reefline bundle, `template` the template that weights from the zoo
    belong to; None elsewhere. `note`, if any, is for the user.
    """

    prefix: str | None = None
    type: CheckpointType = CheckpointType.DETECTION
    tflite: Path | None = None
    size_px: tuple[int, int] | None = None
    template: str | None = None
    note: str = ""


def choose_start(settings: TrainerSettings, identity: str, cache: StartCache) -> StartingPoint:
    """Return what a training run starts from; files of the web are downloaded into `cache`.

    `identity` is what Trainer's driver resolved (see `identify_start`), "" if it did not run.

    Raises:
        CheckpointError: the start is missing, cannot be downloaded, has another sha256, or holds no weights.
        BundleError: the bundle or TFLite file is damaged, or not an int8 model whose weights can be read.
        ConfigError: the template has no published weights, or the zoo has no model of that name.
    """
    known = StartIdentity.parse(identity)
    start = settings.start
    if known.serving:
        prefix = provide_checkpoint(known.serving, cache.folder)
        if prefix is None:
            raise CheckpointError(
                f"trainer.start: {known.serving}, the checkpoint behind the serving model, no longer exists; "
                "restore it, or set start to published, scratch, a path or a URL"
            )
        return StartingPoint(prefix, note="Starting from the serving model.")
    template = load_template(settings.model)
    named = name_start(start, template)
    found = _open(named, template, known.sha256, cache)
    if start.keyword is not StartKeyword.SERVING:
        return found
    return replace(found, note=f"trainer.start: no model is serving yet; starting from {_name(named)}.")


def fetch_start(settings: TrainerSettings, cache: StartCache) -> None:
    """Make sure that the file to start from is on this machine; one of the web is downloaded into `cache`.

    For `serving`, that is the file to start from until a model serves. Nothing is unpacked, and no weights are read.

    Raises:
        CheckpointError: the file is missing, cannot be downloaded, or has another sha256.
        ConfigError: the template has no published weights, or the zoo has no model of that name.
    """
    template = load_template(settings.model)
    start = name_start(settings.start, template)
    if not start.is_new_weights:
        _locate(_pin(start, template), None, cache)


def name_start(start: Start, template: ModelTemplate) -> Start:
    """Return the start itself or, for `serving`, the one to use as long as no model serves.

    Without `otherwise`, that is the template's published weights, or new weights if it has none.
    """
    if start.keyword is not StartKeyword.SERVING:
        return start
    source = start.otherwise or choose_default_start(template).source
    return Start(source=source, sha256=start.sha256, type=start.type)


def choose_default_start(template: ModelTemplate) -> Start:
    """Return the published weights of a template, or new weights if it has none."""
    keyword = StartKeyword.SCRATCH if template.published is None else StartKeyword.PUBLISHED
    return Start(source=keyword.value)


def identify_start(start: Start, template: ModelTemplate, cache: StartCache) -> StartIdentity:
    """Return what a start's weights are, for a cache key; `start` is not `serving`.

    Only a URL without a sha256 is downloaded for this, and only the first time.

    Raises:
        CheckpointError, BundleError, ConfigError: as `choose_start`.
    """
    if start.is_new_weights:
        return StartIdentity()
    pinned = _pin(start, template)
    if is_web_url(pinned.source):
        known = pinned.sha256 or cache.recall(pinned.source)
        return StartIdentity(sha256=known or hash_file(cache.fetch(pinned.source, None)))
    path = locate_path(pinned.source, pinned.sha256)
    if (path / MANIFEST_FILE).is_file():
        return StartIdentity(sha256=hash_file(open_bundle(path).int8_model))
    if path.is_file() and not Path(f"{path}.index").is_file():
        return StartIdentity(sha256=hash_file(path))
    return StartIdentity(checkpoint=hash_file(Path(f"{_find_checkpoint(path, start.source, cache)}.index")))


def _pin(start: Start, template: ModelTemplate) -> Start:
    """Return the start with `published` and `zoo:NAME` replaced by their URLs."""
    check_start(start, template)
    zoo_name = find_zoo_name(start.source)
    if zoo_name is not None:
        return start.model_copy(update={"source": locate_in_zoo(zoo_name)})
    if start.keyword is StartKeyword.PUBLISHED and template.published is not None:
        return start.model_copy(update={"source": template.published.url, "sha256": template.published.sha256})
    return start


def _name(start: Start) -> str:
    if start.is_new_weights:
        return "new weights"
    return "the published weights" if start.keyword is StartKeyword.PUBLISHED else start.source


def _open(start: Start, template: ModelTemplate, sha256: str | None, cache: StartCache) -> StartingPoint:
    """Return the starting point that a start means; `sha256` is what the driver found, None if it did not look."""
    if start.is_new_weights:
        return StartingPoint()
    pinned = _pin(start, template)
    path = _locate(pinned, sha256, cache)
    if (path / MANIFEST_FILE).is_file():
        bundle = open_bundle(path)
        return StartingPoint(tflite=_check_readable(bundle.int8_model), size_px=bundle.size_px)
    if path.is_file() and (path.suffix == ".tflite" or is_tflite(path)):
        published = template.published if start.keyword is StartKeyword.PUBLISHED else None
        note = f"Published weights: {published.knows}, {published.license}." if published is not None else ""
        return StartingPoint(tflite=_check_readable(path), note=note)
    belongs_to = ZOO_TEMPLATES.get(find_zoo_name(start.source) or "")
    return StartingPoint(_find_checkpoint(path, start.source, cache), start.type, template=belongs_to)


def _check_readable(path: Path) -> Path:
    """Return the path of a TFLite file whose weights can be read; the others are refused before a model is built."""
    try:
        read_convolutions(path)
    except BundleError as error:
        raise BundleError(*(f"trainer.start: {text}" for text in error.problems)) from error
    return path


def _find_checkpoint(path: Path, source: str, cache: StartCache) -> str:
    """Return the prefix of the checkpoint that a prefix, folder or archive means."""
    if Path(f"{path}.index").is_file():
        return str(path)
    return find_prefix(path if path.is_dir() else unpack(path, cache.folder), source)


def _locate(start: Start, sha256: str | None, cache: StartCache) -> Path:
    """Return the file, folder or prefix on disk; a URL is downloaded."""
    if is_web_url(start.source):
        return cache.fetch(start.source, start.sha256, remembered=sha256)
    return locate_path(start.source, start.sha256)
