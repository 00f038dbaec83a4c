"""Hidden .<name>.<pid>.part files and folders: what a process is writing or removing, or was when it was killed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def remove_folder(folder: Path) -> None:
    """Remove a folder: everybody sees it complete or not at all, even after a crash.

    It is renamed to ".<name>.<pid>.part" first, which `remove_leftovers` removes if this process is killed.

    Raises:
        OSError: it cannot be removed.
    """
    hidden = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    folder.rename(hidden)
    shutil.rmtree(hidden)


def remove_leftovers(workspace: Path) -> None:
    """Remove what killed runs and clean-ups left in a workspace; what belongs to running processes stays."""
    outputs = [path for pattern in ("*/*/", "*/*/.unfinished/") for path in (workspace / "artifacts").glob(pattern)]
    reports = workspace / "reports"
    folders = (workspace, reports, *reports.glob("*/"), *outputs)
    for part in [part for folder in folders for part in folder.glob(".*.part")]:
        pid = part.name.split(".")[-2]
        if not pid.isdigit() or _is_running(int(pid)):
            continue
        if part.is_dir() and not part.is_symlink():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it runs as another user
        pass
    return True
