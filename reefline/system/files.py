"""Files: written completely or not at all, hashed by content, cached between runs."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import stat
import tempfile
from pathlib import Path

from reefline.system.temporary_files import shared_temporary_folder

# Device full, quota exceeded, file larger than the file system or the process may write.
NO_SPACE_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_SPACE_WORDS = ("no space left on device", "database or disk is full", "disk quota exceeded")
# What file systems without fsync on folders answer, as PostgreSQL's fd.c has it.
_NO_FOLDER_FSYNC = frozenset({errno.EBADF, errno.EINVAL})
_BLOCK_BYTES = 1 << 20


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file, text as UTF-8; a reader sees the old or the new content, even after a crash or a power cut.

    Afterwards the new content is on the disk. A process that is killed here leaves a hidden ".<name>.<pid>.part". A
    link in the place of either is replaced, never followed.

    Raises:
        OSError: it cannot be written; the old file stays, and no partial file is left.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.unlink(missing_ok=True)
        with beside.open("xb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise
    flush_to_disk(path.parent)


def show_path(path: str | Path) -> str:
    """Return a path as text for people: bytes that are not UTF-8 become \\x escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def flush_to_disk(path: Path) -> None:
    """Wait until the disk holds a file's content, or a folder's list of names.

    Raises:
        OSError: the disk reports an error, or the path does not exist.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not (path.is_dir() and error.errno in _NO_FOLDER_FSYNC):
            raise
    finally:
        os.close(descriptor)


def is_out_of_space(error: BaseException) -> bool:
    """Return whether an error, or one that caused it, means that the device is full.

    Python reports it by errno; SQLite, TensorFlow and Beam only in words.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in NO_SPACE_ERRNOS:
            return True
        if any(words in str(seen).lower() for words in _NO_SPACE_WORDS):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def read_file(folder: Path, name: str) -> bytes:
    """Return the content of a regular file below a folder, in half the time of Path.read_bytes.

    Raises:
        OSError: the file cannot be read.
    """
    with open(f"{folder}/{name}", "rb", buffering=0) as file:  # noqa: PTH123  see above
        return file.readall()


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
    """Return a temporary folder that only this user can access.

    Its name can be guessed, so one that another user has made, or can write to, is not used.
    """
    folder = shared_temporary_folder() / f"reefline-cache-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not stat.S_IMODE(status.st_mode) & 0o022:
        return folder
    return _private_cache()


@functools.cache
def _private_cache() -> Path:
    """Return a new temporary folder, the same one for this process."""
    return Path(tempfile.mkdtemp(prefix="reefline-cache-"))
