"""The regular files of a data folder, and a finding for each entry that cannot be used."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from reefline.errors import DataError
from reefline.findings import Action, Finding
from reefline.system.files import show_path

# VOCdevkit keeps segmentation masks next to the photographs: PNGs that are not images to detect objects in.
_MASK_FOLDERS = frozenset({"SegmentationClass", "SegmentationObject"})
# A folder with this file is not part of the data set around it: duplicates moved away, images to review.
IGNORE_FILE = ".reefline-ignore"


@dataclass
class Walk:
    """What a walk has found: paths relative to the data folder, with forward slashes, in no order.

    `unusable` maps the path of what is neither a regular file nor a folder, or has a name that is not UTF-8, to the
    reason; `findings` are on folders.
    """

    files: list[str] = field(default_factory=list)
    unusable: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def walk_data_folder(data_dir: Path) -> Walk:
    """Find every file but hidden ones, masks, and those in a subfolder with IGNORE_FILE.

    Links to folders are followed, each folder once.

    Raises:
        DataError: the data folder cannot be listed.
    """
    walk = Walk()
    visited: set[str] = set()
    pending = [""]
    while pending:
        prefix = pending.pop()
        folder = os.path.join(data_dir, prefix)  # noqa: PTH118  a Path per folder takes longer
        real = os.path.realpath(folder)
        if real in visited:
            continue
        visited.add(real)
        try:
            with os.scandir(folder) as found:
                entries = list(found)
        except OSError as error:
            if not prefix:
                raise DataError(
                    f"{data_dir}: cannot list the folder ({error.strerror}): fix its permissions"
                ) from error
            walk.findings.append(_report_folder(prefix, f"cannot list the folder ({error.strerror})", "fix it"))
            continue
        if prefix and any(entry.name == IGNORE_FILE for entry in entries):
            continue
        folders = [f"{prefix}{entry.name}/" for entry in entries if _is_folder(entry, prefix, walk)]
        pending += sorted(folders, reverse=True)
    return walk


def select_data_paths(paths: Iterable[str]) -> set[str]:
    """Return the paths, relative to a data folder, that `walk_data_folder` would find there."""
    paths = set(paths)
    ignored = {path.removesuffix(IGNORE_FILE) for path in paths if path.endswith(f"/{IGNORE_FILE}")}
    return {path for path in paths if _is_data_path(path) and not ignored.intersection(_parents(path))}


def _is_data_path(path: str) -> bool:
    *folders, name = path.split("/")
    hidden = any(part.startswith(".") for part in (*folders, name))
    return not hidden and not _MASK_FOLDERS & set(folders)


def _parents(path: str) -> Iterator[str]:
    """Yield the folders above a path, each with a slash at its end."""
    position = path.find("/")
    while position >= 0:
        yield path[: position + 1]
        position = path.find("/", position + 1)


def _is_folder(entry: os.DirEntry[str], prefix: str, walk: Walk) -> bool:
    """Return whether to descend into the entry; note it in `walk` if it is a file or cannot be used."""
    name, path = entry.name, prefix + entry.name
    if name.startswith("."):
        return False
    try:
        # Both need no system call, except for links and on file systems that do not tell.
        is_file, is_folder = entry.is_file(), entry.is_dir()
    except OSError as error:  # such as a link to itself
        walk.unusable[path] = f"cannot open it ({error.strerror})"
        return False
    if not name.isascii() and not _is_utf8(name):
        reason = "the name is not UTF-8"
        if is_folder:
            walk.findings.append(_report_folder(path, reason, "rename it"))
        else:
            walk.unusable[path] = f"{reason}: rename the file"
        return False
    if is_folder:
        return name not in _MASK_FOLDERS
    if is_file:
        walk.files.append(path)
    elif entry.is_symlink() and not os.path.exists(entry.path):  # noqa: PTH110
        walk.unusable[path] = "a link to a missing file: restore the file, or delete the link"
    else:
        walk.unusable[path] = "not a regular file (a FIFO, device or socket): delete it"
    return False


def _is_utf8(name: str) -> bool:
    # Python keeps such bytes as lone surrogates, which no other encoder accepts.
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _report_folder(path: str, reason: str, advice: str) -> Finding:
    message = f"{reason}; everything inside is left out: {advice}, or move the folder elsewhere"
    return Finding(show_path(path.rstrip("/")), None, "folder_unreadable", message, Action.KEPT)
