"""Files: written completely or not at all, hashed by content, cached between runs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
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
    """Return `$XDG_CACHE_HOME/reefline`, by default ~/.cache/reefline, as in the XDG base directory specification.

    Many containers run as a user whose home directory is missing or read-only; the cache is then a temporary folder.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    if base:
        return Path(base) / "reefline"
    try:
        default = Path.home() / ".cache"
    except RuntimeError:  # $HOME is not set, and the user has no entry in the password database
        return _temporary_cache()
    nearest = next(path for path in (default, *default.parents) if path.exists())
    return default / "reefline" if os.access(nearest, os.W_OK) else _temporary_cache()


def _temporary_cache() -> Path:
    return Path(tempfile.gettempdir()) / f"reefline-cache-{os.getuid()}"
