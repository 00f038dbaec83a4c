"""Folders, copied between this machine and a store."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from reefline.errors import StorageError
from reefline.storage.interface import Storage, StoredObject

# Most of a transfer is waiting for the store's answers.
_CONNECTIONS = 16

_First = TypeVar("_First")
_Second = TypeVar("_Second")


def download_tree(storage: Storage, folder: Path) -> Sequence[StoredObject]:
    """Copy all objects of a storage into a local folder; return what was copied.

    Raises:
        StorageError: the store cannot be read, or an object changed meanwhile.
        OSError: the folder cannot be written.
    """
    objects = storage.list_objects()
    download_objects(storage, objects, folder)
    return objects


def download_objects(storage: Storage, objects: Sequence[StoredObject], folder: Path) -> None:
    """Copy objects into a local folder under their names, exactly as they were listed.

    Raises:
        StorageError: the store cannot be read, a name would leave the folder, or an object changed since it was listed.
        OSError: the folder cannot be written.
    """
    targets = [_locate_inside(folder, stored.name, storage) for stored in objects]
    for parent in {target.parent for target in targets}:
        parent.mkdir(parents=True, exist_ok=True)

    def download(stored: StoredObject, target: Path) -> None:
        if not storage.download(stored.name, target, stored.revision):
            raise StorageError(f"{storage.location / stored.name}: deleted while it was read; run again")

    _run_all(download, objects, targets)


def upload_tree(folder: Path, storage: Storage) -> None:
    """Copy all files of a local folder into a storage, under their relative names.

    Raises:
        StorageError: the store cannot be written.
        OSError: the folder cannot be read.
    """
    files = sorted(Path(parent) / name for parent, _, names in os.walk(folder) for name in names)
    _run_all(storage.upload, files, [path.relative_to(folder).as_posix() for path in files])


def delete_tree(storage: Storage) -> None:
    """Delete all objects of a storage.

    Raises:
        StorageError: the store cannot be reached, or refuses.
    """
    names = [stored.name for stored in storage.list_objects()]
    _run_all(lambda name, _: storage.delete(name), names, names)


def _run_all(action: Callable[[_First, _Second], object], firsts: Sequence[_First], seconds: Sequence[_Second]) -> None:
    """Call `action` for each pair, several at a time; the first error rises and ends the rest."""
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        try:
            for _ in pool.map(action, firsts, seconds):
                pass
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _locate_inside(folder: Path, name: str, storage: Storage) -> Path:
    if {"", ".", ".."} & set(name.split("/")):
        raise StorageError(f"{storage.location}: the object {name!r} is not a relative path; rename it")
    return folder / name
