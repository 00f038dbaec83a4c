"""Folders of work that may be stopped and gone on with, apart from the outputs that an orchestrator deletes."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

_FOLDER = ".unfinished"


def open_unfinished(output_dir: Path, identity: Sequence[str]) -> Path:
    """Return the folder of the work that `identity` describes, beside `output_dir`; what is in it is gone on with.

    An orchestrator gives each attempt another output folder, and deletes that of a failed one.
    """
    digest = hashlib.sha256("\0".join(identity).encode()).hexdigest()[:16]
    folder = output_dir.parent / _FOLDER / digest
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def hand_over(folder: Path, output_dir: Path, *, finished_file: str) -> None:
    """Put finished work into `output_dir`, as links to the same files where the file system allows.

    The folder stays until other work is handed over: who is killed before the orchestrator has noted the output finds
    all of it done. `finished_file` is what tells finished work from work that stopped.
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
