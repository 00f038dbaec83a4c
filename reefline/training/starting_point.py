"""Where training starts: turns a path, an archive or a URL into the prefix of a checkpoint on disk."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import urllib.parse
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path

from reefline.errors import CheckpointError, DownloadError
from reefline.settings import CheckpointType, FineTuneCheckpoint, TrainerSettings
from reefline.system.files import hash_file, is_out_of_space
from reefline.system.http_download import download


@dataclass(frozen=True)
class StartingPoint:
    """What training starts from: a checkpoint's prefix, or None for new weights; `note`, if any, is for the user."""

    prefix: str | None
    type: CheckpointType = CheckpointType.DETECTION
    note: str = ""


def choose_start(settings: TrainerSettings, warm_start_checkpoint: str, cache_dir: Path) -> StartingPoint:
    """Return what a training run starts from; the serving model comes before trainer.fine_tune_checkpoint.

    `warm_start_checkpoint` is the prefix of the checkpoint behind the serving model, "" for none.

    Raises:
        CheckpointError: the checkpoint is missing, or `resolve_checkpoint` refuses it.
    """
    if settings.warm_start and warm_start_checkpoint:
        if not Path(f"{warm_start_checkpoint}.index").is_file():
            raise CheckpointError(
                f"trainer.warm_start: {warm_start_checkpoint}, the checkpoint behind the serving model, no longer "
                "exists; restore it, or set trainer.warm_start to false"
            )
        return StartingPoint(warm_start_checkpoint, note="Warm start from the serving model.")
    checkpoint = settings.fine_tune_checkpoint
    prefix = resolve_checkpoint(checkpoint, cache_dir) if checkpoint is not None else None
    kind = checkpoint.type if checkpoint is not None else CheckpointType.DETECTION
    note = ""
    if settings.warm_start:
        instead = "trainer.fine_tune_checkpoint" if prefix is not None else "new weights"
        note = f"trainer.warm_start: no model is serving yet; starting from {instead}."
    return StartingPoint(prefix, kind, note)


def resolve_checkpoint(checkpoint: FineTuneCheckpoint, cache_dir: Path) -> str:
    """Return the prefix (".../ckpt-0") of `checkpoint`; download and unpack it where needed.

    A source is a prefix, a folder that holds a checkpoint at any depth (the OD API zoo's: checkpoint/ckpt-0), a .tar.gz
    of such a folder, or the URL of one. file:// means the path, http(s):// a download into `cache_dir`, where archives
    are unpacked once.

    Raises:
        CheckpointError: it is missing, cannot be downloaded, has another sha256, or holds no checkpoint.
    """
    source = checkpoint.source
    parts = urllib.parse.urlsplit(source)
    if parts.scheme in ("http", "https"):
        return _find_prefix(_unpack(_download(checkpoint, cache_dir), cache_dir), source)
    path = Path(urllib.request.url2pathname(parts.path) if parts.scheme == "file" else source).expanduser()
    if Path(f"{path}.index").is_file():
        return str(path)
    if path.is_dir():
        return _find_prefix(path, source)
    if path.is_file():
        _check_hash(path, checkpoint.sha256, source)
        return _find_prefix(_unpack(path, cache_dir), source)
    raise CheckpointError(
        f"trainer.fine_tune_checkpoint: {source} does not exist; expected a checkpoint prefix, a folder or a .tar.gz"
    )


def _find_prefix(directory: Path, source: str) -> str:
    """Find the one checkpoint in a folder; the zoo's archives hold <name>/checkpoint/ckpt-0.index."""
    indexes = sorted(directory.rglob("*.index"), key=lambda path: (len(path.parts), path))
    if not indexes:
        raise CheckpointError(f"trainer.fine_tune_checkpoint: {source} holds no checkpoint (no *.index file)")
    shallowest = [path for path in indexes if len(path.parts) == len(indexes[0].parts)]
    if len(shallowest) > 1:
        names = ", ".join(str(path.relative_to(directory).with_suffix("")) for path in shallowest)
        raise CheckpointError(f"trainer.fine_tune_checkpoint: {source} holds several checkpoints; pick one: {names}")
    return str(shallowest[0].with_suffix(""))


def _check_hash(path: Path, expected: str | None, source: str) -> None:
    if expected is None:
        return
    found = hash_file(path)
    if found != expected:
        raise CheckpointError(
            f"trainer.fine_tune_checkpoint: {source} has sha256 {found}, expected {expected}; "
            "check the file and the config"
        )


def _download(checkpoint: FineTuneCheckpoint, cache_dir: Path) -> Path:
    """Download to the cache, under a name that holds the hash: files of the same name may differ."""
    if checkpoint.sha256 is None:
        raise CheckpointError(f"trainer.fine_tune_checkpoint: {checkpoint.source} needs a sha256; add it")
    name = Path(urllib.parse.urlsplit(checkpoint.source).path).name or "checkpoint.tar.gz"
    target = cache_dir / f"{checkpoint.sha256[:16]}-{name}"
    try:
        download(checkpoint.source, target, sha256=checkpoint.sha256)
    except DownloadError as error:
        raise CheckpointError(*(f"trainer.fine_tune_checkpoint: {text}" for text in error.problems)) from error
    return target


def _unpack(archive: Path, cache_dir: Path) -> Path:
    """Unpack to a temporary folder and rename it, so that a folder that exists is complete; its name is a hash."""
    target = cache_dir / f"unpacked-{hash_file(archive)[:16]}"
    if target.is_dir():
        return target
    cache_dir.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=cache_dir))
    try:
        with tarfile.open(archive) as file:
            file.extractall(partial, filter="data")
        if not target.is_dir():
            partial.rename(target)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        # Another process may have just finished the same.
        if not target.is_dir():
            raise CheckpointError(_explain_unpacking(archive, cache_dir, error)) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _explain_unpacking(archive: Path, cache_dir: Path, error: Exception) -> str:
    if isinstance(error, OSError) and is_out_of_space(error):
        return (
            f"trainer.fine_tune_checkpoint: cannot unpack {archive.name} ({error.strerror}); free space in {cache_dir}"
        )
    return f"trainer.fine_tune_checkpoint: {archive.name} is not a readable tar archive: {error}"
