"""Folders of work that can be stopped and resumed, outside the output folders that an orchestrator deletes."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

_FOLDER = ".unfinished"


def open_unfinished(output_dir: Path, identity: Sequence[str], work_dir: Path | None = None) -> Path:
    """Return the folder, next to `output_dir`, of the work that `identity` describes; what it holds is resumed.

    An orchestrator gives each attempt a new output folder, and deletes that of a failed one. Where the disk itself is
    deleted, `work_dir` is a folder that outlives the attempt.
    """
    folder = locate_unfinished(output_dir, identity, work_dir)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def locate_unfinished(output_dir: Path, identity: Sequence[str], work_dir: Path | None = None) -> Path:
    """Return where `open_unfinished` keeps that work, whether it exists or not."""
    digest = hashlib.sha256("\0".join(identity).encode()).hexdigest()[:16]
    return (work_dir or output_dir.parent) / _FOLDER / digest


def hand_over(folder: Path, output_dir: Path, *, finished_file: str) -> None:
    """Put finished work into `output_dir`, as links to the same files where the file system allows it.

    The folder stays until other work is handed over: a process that is killed before the orchestrator has recorded the
    output finds its work done. `finished_file` exists in finished work only.
    """
    shutil.copytree(folder, output_dir, copy_function=_link_or_copy, dirs_exist_ok=True)
    for other in folder.parent.iterdir():
        if other != folder and (other / finished_file).is_file():
            shutil.rmtree(other)


def _link_or_copy(source: str, target: str) -> None:
    Path(target).unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
