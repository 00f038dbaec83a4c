"""Checkpoints in folders and archives."""

from __future__ import annotations

from pathlib import Path

from reefline.errors import ArchiveError, CheckpointError
from reefline.system.archive import unpack_tar
from reefline.system.files import hash_file

# The zoo's largest SSD unpacks to 0.5 GB in some twenty files.
_MAX_UNPACKED_BYTES = 4 * 1000**3
_MAX_MEMBERS = 10_000


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
    """Return the folder that an archive is unpacked to, once; the folder's name is the archive's hash.

    Raises:
        CheckpointError: it is not a readable archive, is unsafe or too large to unpack, or the disk is full.
    """
    target = cache_dir / f"unpacked-{hash_file(archive)[:16]}"
    try:
        unpack_tar(archive, target, max_bytes=_MAX_UNPACKED_BYTES, max_members=_MAX_MEMBERS)
    except ArchiveError as error:
        raise CheckpointError(*(f"trainer.start: {text}" for text in error.problems)) from error
    return target
