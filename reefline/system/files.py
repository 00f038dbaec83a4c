"""Files: written completely or not at all, hashed by content, cached between runs."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

_BLOCK_BYTES = 1 << 20


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file, text as UTF-8; a reader sees the old or the new content, even after a crash or a power cut.

    Raises:
        OSError: it cannot be written; the old file stays, and no partial file is left.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


def hash_file(path: Path) -> str:
    """Return the sha256 of a file's content as 64 hexadecimal digits; it is read in blocks, so any size fits.

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def cache_directory() -> Path:
    """Return `$XDG_CACHE_HOME/reefline`, by default ~/.cache/reefline, as the XDG base directory specification says."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "reefline"
