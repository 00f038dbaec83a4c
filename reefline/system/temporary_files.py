"""A folder for the temporary files of a run, so that what a killed one left is found and removed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from reefline.errors import WorkspaceError
from reefline.system.lock_file import try_lock

_PREFIX = "reefline-run-"
_LOCK_FILE = ".lock"


@contextlib.contextmanager
def own_temporary_folder() -> Iterator[None]:
    """Put the temporary files of this process and of those that it starts into a folder, which disappears afterwards.

    It lies where temporary files lie otherwise. The folders of killed runs are removed first. Each run locks its own:
    process ids mean nothing where containers share a folder.

    Raises:
        OSError: the folder cannot be created.
    """
    before, variable = tempfile.tempdir, os.environ.get("TMPDIR")
    place = Path(tempfile.gettempdir())
    remove_abandoned_folders(place)
    folder, lock = _make_folder(place)
    with lock:
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
        try:
            yield
        finally:
            tempfile.tempdir = before
            os.environ.pop("TMPDIR")
            if variable is not None:
                os.environ["TMPDIR"] = variable
            shutil.rmtree(folder, ignore_errors=True)


def shared_temporary_folder() -> Path:
    """Return where temporary files lie that outlive a run: never in a run's own folder."""
    folder = Path(tempfile.gettempdir())
    return folder.parent if folder.name.startswith(_PREFIX) else folder


def remove_abandoned_folders(place: Path) -> None:
    """Remove the folders of killed runs of this user from a folder of temporary files; none without file locks."""
    for folder in place.glob(f"{_PREFIX}*"):
        # Another user's folder, a link, or one that another run is removing.
        with contextlib.suppress(OSError, WorkspaceError):
            if folder.is_symlink() or folder.lstat().st_uid != os.getuid():
                continue
            lock = try_lock(folder / _LOCK_FILE, needs_locks=True)
            if lock is not None:
                with lock:
                    shutil.rmtree(folder, ignore_errors=True)


def _make_folder(place: Path) -> tuple[Path, IO[str]]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        # A run that starts now may have found the folder before it was locked, and removed it.
        with contextlib.suppress(FileNotFoundError):
            lock = try_lock(folder / _LOCK_FILE)
            if lock is not None:
                return folder, lock
