"""Spans: the parts of a data set that grows, in the order in which they came, as TFX's ExampleGen calls them.

A span is a folder span-1, span-2, … in the data folder. Each has its own splits: by its own lists or folders where it
has any, else by the hash of each image's content, so that new images never move old ones.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from reefline.data.layouts import DataFiles
from reefline.errors import UsageError
from reefline.system.files import cache_directory

_NO_SPAN = -1
_SPAN_FOLDER = re.compile(r"span[-_]?([0-9]{1,9})", re.IGNORECASE)


def span_of(path: str) -> int | None:
    """Return the number of the span that a file of the data folder belongs to, by its relative path."""
    folder, slash, _ = path.partition("/")
    return _read_span(folder) if slash else None


@functools.lru_cache(maxsize=64)
def _read_span(folder: str) -> int | None:
    found = _SPAN_FOLDER.fullmatch(folder)
    return int(found[1]) if found else None


def group_by_span(files: DataFiles) -> list[DataFiles]:
    """Return the files of each span, in their order, and first those outside of spans; findings are left out.

    Where the data folder itself has split lists, they are also those of spans without lists.
    """
    with_lists = {_key(path) for path in files.split_lists}
    follows_root = _NO_SPAN in with_lists

    def group_of(path: str) -> int:
        span = _key(path)
        return _NO_SPAN if follows_root and span not in with_lists else span

    def select(group: int, paths: Iterable[str]) -> tuple[str, ...]:
        return tuple(path for path in paths if group_of(path) == group)

    groups = sorted({group_of(path) for path in (*files.images, *files.annotations, *files.split_lists)})
    if len(groups) == 1:
        return [DataFiles(files.images, files.annotations, files.split_lists)]
    return [
        DataFiles(select(group, files.images), select(group, files.annotations), select(group, files.split_lists))
        for group in groups
    ]


def join_folders(folders: Sequence[Path]) -> Path:
    """Return one data folder for those that the command line names: several become spans, linked in the user's cache.

    The first is span-1.

    Raises:
        UsageError: a folder is missing, or two of them are the same or lie in each other.
    """
    if len(folders) == 1:
        return folders[0]
    real = [_resolve(folder) for folder in folders]
    for position, one in enumerate(real):
        for other in real[position + 1 :]:
            if one == other or one in other.parents or other in one.parents:
                raise UsageError(f"--data {one} and --data {other}: the same images twice; name each folder once")
    key = hashlib.sha256(b"\0".join(map(os.fsencode, real))).hexdigest()[:16]
    joined = cache_directory() / "joined" / key
    joined.mkdir(parents=True, exist_ok=True)
    for number, folder in enumerate(real, start=1):
        _link(joined / f"span-{number}", folder)
    return joined


def describe_spans(folders: Iterable[Path]) -> str:
    """Return which folder is which span, for people."""
    return ", ".join(f"span-{number} is {folder}" for number, folder in enumerate(folders, start=1))


def _key(path: str) -> int:
    span = span_of(path)
    return _NO_SPAN if span is None else span


def _resolve(folder: Path) -> Path:
    if not folder.is_dir():
        what = "not a folder" if folder.exists() else "no such folder"
        raise UsageError(f"--data {folder}: {what}; expected a folder of images with VOC annotations")
    return folder.resolve()


def _link(link: Path, folder: Path) -> None:
    try:
        link.symlink_to(folder, target_is_directory=True)
    except FileExistsError:  # made before; its name depends on where it points
        if link.resolve() != folder:
            raise UsageError(f"{link}: is not the link to {folder} that it should be; delete it") from None
