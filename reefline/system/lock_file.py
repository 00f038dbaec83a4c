"""Files that hold a lock: opened so that a link or something else in their place does no harm."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import IO

from reefline.errors import WorkspaceError


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
