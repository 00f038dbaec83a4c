"""Files that hold a lock: opened so that a link or something else in their place does no harm."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from reefline.errors import UsageError, WorkspaceError

# Hidden, so that it is not part of a data set.
FOLDER_LOCK_FILE = ".reefline.lock"
# What flock answers on a file system that has no locks, such as some that show an object store as folders.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


@dataclass(frozen=True)
class LockHolder:
    """What a workspace's lock file has about its holder, one per line: the process id, and the run's id."""

    process: str
    run_id: str = ""

    @classmethod
    def parse(cls, text: str) -> LockHolder:
        """Read what `format` returned; a part that is missing is ""."""
        lines = [line.strip() for line in text.splitlines()]
        return cls(*(*lines[:2], "", "")[:2])

    def format(self) -> str:
        """Return the content of the lock's file."""
        return f"{self.process}\n{self.run_id}\n"


def open_lock_file(path: Path) -> IO[str]:
    """Open a lock's file for reading and writing; never through a symlink, whose target would be overwritten.

    Raises:
        WorkspaceError: it is something other than a file, or cannot be created.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EISDIR):
            raise
        found = "a symlink" if error.errno == errno.ELOOP else "a folder"
        raise WorkspaceError(f"{path}: {found}, where a lock's file is expected; delete it") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise WorkspaceError(f"{path}: not a file, where a lock's file is expected; delete it")
    return os.fdopen(descriptor, "r+")


def try_lock(path: Path, *, needs_locks: bool = False) -> IO[str] | None:
    """Lock a lock's file, created if missing, and return it; None if another process holds the lock.

    The lock ends when the file is closed, and with the process, however it ends. Its holder may delete the file: who
    opened it before that gets the next file. A file system without locks keeps nobody out; with
    `needs_locks` the answer there is None, as nobody knows who is at work.

    Raises:
        WorkspaceError: the path is something other than a file.
        OSError: the file cannot be created or locked.
    """
    while True:
        file = open_lock_file(path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                file.close()
                raise
            if needs_locks:
                file.close()
                return None
        if _is_at(file, path):
            return file
        file.close()


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Keep other processes that call this out of a folder that exists; nothing is left in it afterwards.

    Raises:
        UsageError: another process holds it.
        WorkspaceError: its lock's file is something else.
        OSError: the lock's file cannot be created.
    """
    path = folder / FOLDER_LOCK_FILE
    file = try_lock(path)
    if file is None:
        raise UsageError(f"{folder}: another reefline command is writing to it; wait until it ends, or stop it")
    with file:
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink()


@contextlib.contextmanager
def hold_workspace(root: Path, run_id: str = "") -> Iterator[None]:
    """Hold a workspace's lock; it ends with the process, however it ends.

    The lock's file names the process and, where a run holds it, the run.

    Raises:
        WorkspaceError: another process holds it (the message has its process id), or its file is something else.
    """
    with open_lock_file(root / ".lock") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = LockHolder.parse(file.read()).process or "unknown"
            raise WorkspaceError(
                f"{root}: in use by another run (process {holder}); wait until it ends, or pass another --workspace DIR"
            ) from None
        file.truncate(0)
        file.write(LockHolder(str(os.getpid()), run_id).format())
        file.flush()
        yield
