"""Folders of work that can be stopped and resumed, outside the output folders that an orchestrator deletes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from reefline.errors import WorkspaceError
from reefline.system.lock_file import LockHolder, try_lock
from reefline.system.terminal import say

UNFINISHED_FOLDER = ".unfinished"
_POLL_S = 2.0


@contextlib.contextmanager
def open_unfinished(output_dir: Path, identity: Sequence[str], work_dir: Path | None = None) -> Iterator[Path]:
    """Open the folder, next to `output_dir`, of the work that `identity` describes; what it holds is resumed.

    An orchestrator gives each attempt a new output folder, and deletes that of a failed one. Where the disk itself is
    deleted, `work_dir` is a folder that outlives the attempt.

    While another process does the same work, this waits: what the other finished is found done. The lock is the
    operating system's, so a process that was killed, with its pod or without, holds none.

    Raises:
        WorkspaceError: this user cannot write there.
    """
    folder = locate_unfinished(output_dir, identity, work_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except PermissionError as error:
        raise WorkspaceError(
            f"{work_dir or output_dir.parent}: not writable by user {os.getuid()}; make that user its owner (a new "
            "volume belongs to root)"
        ) from error
    with _await_lock(_locate_lock(folder)):
        # Whoever held it may have removed it: see `hand_over`.
        folder.mkdir(exist_ok=True)
        yield folder


def locate_unfinished(output_dir: Path, identity: Sequence[str], work_dir: Path | None = None) -> Path:
    """Return where `open_unfinished` keeps that work, whether it exists or not."""
    digest = hashlib.sha256("\0".join(identity).encode()).hexdigest()[:16]
    return (work_dir or output_dir.parent) / UNFINISHED_FOLDER / digest


def _await_lock(path: Path) -> IO[str]:
    """Return the locked file, which names this process to those who wait."""
    is_waiting = False
    while (file := try_lock(path)) is None:
        if not is_waiting:
            say(f"  Another run ({_name_holder(path)}) is doing this work in {path.parent}; waiting until it ends.")
            is_waiting = True
        time.sleep(_POLL_S)
    file.truncate(0)
    file.write(LockHolder(f"{platform.node()}, process {os.getpid()}").format())
    file.flush()
    return file


def _name_holder(path: Path) -> str:
    # The holder may delete the file at any time.
    with contextlib.suppress(OSError):
        return LockHolder.parse(path.read_text(encoding="utf-8")).process or "unknown process"
    return "unknown process"


def _locate_lock(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def hand_over(folder: Path, output_dir: Path, *, finished_file: str) -> None:
    """Put finished work into `output_dir`, as links to the same files where the file system allows it.

    The folder stays until other work is handed over: a process that is killed before the orchestrator has recorded the
    output finds its work done. What another process holds stays, too. `finished_file` exists in finished work only.
    """
    shutil.copytree(folder, output_dir, copy_function=_link_or_copy, dirs_exist_ok=True)
    for other in folder.parent.iterdir():
        if other != folder and (other / finished_file).is_file():
            _remove_unless_held(other)


def _remove_unless_held(folder: Path) -> None:
    lock = _locate_lock(folder)
    file = try_lock(lock, needs_locks=True)
    if file is not None:
        with file:
            shutil.rmtree(folder)
            lock.unlink()


def remove_orphaned_locks(unfinished: Path) -> None:
    """Remove the locks, in a folder of unfinished work, of work that is gone; those that a process holds stay."""
    for lock in unfinished.glob("*.lock"):
        if lock.with_suffix("").exists():
            continue
        file = try_lock(lock, needs_locks=True)
        if file is not None:
            with file:
                lock.unlink()


def _link_or_copy(source: str, target: str) -> None:
    Path(target).unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
