"""Checkpoints in folders and archives."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path

from reefline.errors import CheckpointError
from reefline.system.files import hash_file, is_out_of_space


def find_prefix(directory: Path, source: str) -> str:
    """Return the prefix of the one checkpoint in a folder; the zoo's archives hold <name>/checkpoint/ckpt-0.index.

    Raises:
        CheckpointError: the folder holds none, or several.
    """
    indexes = sorted(directory.rglob("*.index"), key=lambda path: (len(path.parts), path))
    if not indexes:
        raise CheckpointError(
            f"trainer.start: {source} holds no checkpoint (no *.index file) and is no bundle (no manifest.json)"
        )
    shallowest = [path for path in indexes if len(path.parts) == len(indexes[0].parts)]
    if len(shallowest) > 1:
        names = ", ".join(str(path.relative_to(directory).with_suffix("")) for path in shallowest)
        raise CheckpointError(f"trainer.start: {source} holds several checkpoints; pick one: {names}")
    return str(shallowest[0].with_suffix(""))


def unpack(archive: Path, cache_dir: Path) -> Path:
    """Unpack to a temporary folder and rename it, so that a folder that exists is complete; its name is a hash.

    Raises:
        CheckpointError: it is not a readable archive, or the disk is full.
    """
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
        return f"trainer.start: cannot unpack {archive.name} ({error.strerror}); free space in {cache_dir}"
    return f"trainer.start: {archive.name} is neither a TFLite model nor a readable tar archive: {error}"
