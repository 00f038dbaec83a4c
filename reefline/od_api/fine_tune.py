"""Fine-tune checkpoints: a path, an archive or a URL becomes the prefix of a checkpoint on disk."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from reefline.errors import CheckpointError
from reefline.file_hash import hash_file
from reefline.settings import FineTuneCheckpoint

_DOWNLOAD_TIMEOUT_S = 60.0
_CHUNK_BYTES = 1 << 20


def resolve_checkpoint(checkpoint: FineTuneCheckpoint, cache_dir: Path) -> str:
    """Return the checkpoint prefix (".../ckpt-0") that `checkpoint` means, downloading and unpacking where needed.

    A source is a prefix, a folder (the OD API zoo's, with checkpoint/ckpt-0 in it, or one that holds a checkpoint), a
    .tar.gz of such a folder, or the URL of such an archive. Archives are unpacked below `cache_dir` once.

    Raises:
        CheckpointError: it is missing, cannot be downloaded, has another sha256, or holds no checkpoint.
    """
    source = checkpoint.source
    if "://" in source:
        archive = _download(source, checkpoint.sha256, cache_dir)
        return _find_prefix(_unpack(archive, cache_dir), source)
    path = Path(source).expanduser()
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
    """Find the one checkpoint in a folder; the zoo's archives hold checkpoint/ckpt-0.index below a folder."""
    indexes = sorted(directory.rglob("*.index"), key=lambda path: (len(path.parts), path))
    if not indexes:
        raise CheckpointError(f"trainer.fine_tune_checkpoint: {source} holds no checkpoint (no *.index file)")
    shallowest = [path for path in indexes if len(path.parts) == len(indexes[0].parts)]
    if len(shallowest) > 1:
        names = ", ".join(str(path.relative_to(directory).with_suffix("")) for path in shallowest)
        raise CheckpointError(f"trainer.fine_tune_checkpoint: {source} holds several checkpoints; name one: {names}")
    return str(shallowest[0].with_suffix(""))


def _check_hash(path: Path, expected: str | None, source: str) -> None:
    if expected is None:
        return
    found = hash_file(path)
    if found != expected:
        raise CheckpointError(
            f"trainer.fine_tune_checkpoint: {source} has sha256 {found}, expected {expected}; it is another file"
        )


def _download(url: str, sha256: str | None, cache_dir: Path) -> Path:
    """Download to the cache under a name that holds the hash; a file that is there already is checked and used."""
    cache_dir.mkdir(parents=True, exist_ok=True)
    name = Path(urllib.parse.urlparse(url).path).name or "checkpoint.tar.gz"
    target = cache_dir / f"{(sha256 or hashlib.sha256(url.encode()).hexdigest())[:16]}-{name}"
    if not target.is_file() or sha256 is None:
        with tempfile.NamedTemporaryFile(dir=cache_dir, delete=False) as partial:
            try:
                with urllib.request.urlopen(url, timeout=_DOWNLOAD_TIMEOUT_S) as response:
                    shutil.copyfileobj(response, partial, _CHUNK_BYTES)
            except (OSError, urllib.error.URLError) as error:
                Path(partial.name).unlink()
                raise CheckpointError(f"trainer.fine_tune_checkpoint: {url} cannot be downloaded: {error}") from error
        try:
            _check_hash(Path(partial.name), sha256, url)
        except CheckpointError:
            Path(partial.name).unlink()
            raise
        Path(partial.name).replace(target)
    return target


def _unpack(archive: Path, cache_dir: Path) -> Path:
    """Unpack beside and rename, so that a folder that is there is whole; its name is the archive's content."""
    target = cache_dir / f"unpacked-{hash_file(archive)[:16]}"
    if target.is_dir():
        return target
    cache_dir.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=cache_dir))
    try:
        with tarfile.open(archive) as file:
            file.extractall(partial, filter="data")
    except (tarfile.TarError, OSError) as error:
        shutil.rmtree(partial)
        raise CheckpointError(
            f"trainer.fine_tune_checkpoint: {archive.name} is not a readable tar archive: {error}"
        ) from error
    partial.replace(target)
    return target
