"""One hash over the contents of a data set; the hashes of its files are remembered between runs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reefline.data.layouts import list_data_files
from reefline.data.remote_data import RemoteData, list_remote_data
from reefline.errors import ConfigError, DataError
from reefline.settings import IngestionSettings
from reefline.storage.location import Location
from reefline.system.files import hash_file, show_path

_TABLE = (
    "CREATE TABLE IF NOT EXISTS file_hash "
    "(path TEXT PRIMARY KEY, bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, sha256 TEXT NOT NULL)"
)

_SELECT = "SELECT path, bytes, mtime_ns, sha256 FROM file_hash WHERE path BETWEEN ? AND ?"
# So that memory holds the rows of a batch and not of a data set.
_FILES_PER_BATCH = 10_000


def fingerprint_data(data_dir: str | Path, settings: IngestionSettings, hash_memory: Path | None) -> str:
    """Return one hash of all that is ingested: images, annotations, split lists and the given label map.

    `data_dir` is a folder or a URI; see `remote_data` for what is hashed there. `hash_memory` as `fingerprint_files`.

    Raises:
        DataError: the data folder is missing or holds no images or annotations.
        ConfigError: the given label map cannot be read.
        StorageError: the URI is not supported, or its store cannot be read.
    """
    location = Location.parse(data_dir)
    if location.is_remote:
        remote = list_remote_data(location, image_dir=settings.image_dir, annotation_dir=settings.annotation_dir)
        return remote.fingerprint(read_extra(settings))
    data_dir = location.local_path
    files = list_data_files(data_dir, image_dir=settings.image_dir, annotation_dir=settings.annotation_dir)
    # A finding must not come from the cache once its file is repaired.
    findings = [repr(files.findings).encode()] if files.findings else []
    return fingerprint_files(data_dir, files.all, hash_memory, extra=[*findings, *read_extra(settings)])


def provide_locally(data_dir: str, settings: IngestionSettings, fingerprint: str, folder: Path) -> Path:
    """Return a data set's folder on this machine: `data_dir`, or `folder` with a copy of the data set at a URI.

    Two passes read each image from several processes: one download is faster than two, and both passes see the same
    data.

    Raises:
        DataError: the data set at the URI no longer has this `fingerprint`, or holds no images or annotations.
        StorageError: its store cannot be read, or a file changed meanwhile.
    """
    location = Location.parse(data_dir)
    if not location.is_remote:
        return location.local_path
    list_unchanged(location, settings, fingerprint).download(folder)
    return folder


def list_unchanged(location: Location, settings: IngestionSettings, fingerprint: str) -> RemoteData:
    """Return the data set at a URI, which must still have this `fingerprint`.

    Raises:
        DataError: it has not, or holds no images or annotations.
        StorageError: its store cannot be read.
    """
    remote = list_remote_data(location, image_dir=settings.image_dir, annotation_dir=settings.annotation_dir)
    if remote.fingerprint(read_extra(settings)) != fingerprint:
        raise DataError(f"{location}: the data changed since this run looked at it; run again")
    return remote


def check_unchanged(data_dir: str, settings: IngestionSettings, fingerprint: str, hash_memory: Path | None) -> None:
    """Make sure that what was ingested from a folder is what has this `fingerprint`, which keys the cache.

    Data at a URI cannot change: what is ingested is a copy of what was listed.

    Raises:
        DataError: a file was added, removed or changed during ingestion.
    """
    if Location.parse(data_dir).is_remote:
        return
    if fingerprint_data(data_dir, settings, hash_memory) != fingerprint:
        raise DataError(f"{data_dir}: changed during ingestion; run again when nothing else writes there")


def read_extra(settings: IngestionSettings) -> Sequence[bytes]:
    """Return the contents that are ingested besides the data folder: the given label map, if any.

    Raises:
        ConfigError: it cannot be read.
    """
    if settings.label_map is None:
        return ()
    try:
        return (Path(settings.label_map).read_bytes(),)
    except OSError as error:
        raise ConfigError(f"{settings.label_map}: cannot read the label map ({error.strerror})") from error


def fingerprint_files(data_dir: Path, files: Iterable[str], memory: Path | None, *, extra: Sequence[bytes] = ()) -> str:
    """Return a sha256 over the relative names and contents of files, and over the contents of `extra`.

    The folder's location and the files' times are not part of it. A file of unchanged path, size and mtime_ns is not
    read again: `memory`, a SQLite file that is created if missing, remembers its hash; without one (None), all are
    read.

    Raises:
        DataError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for content in extra:
        digest.update(f"extra\0{hashlib.sha256(content).hexdigest()}\n".encode())
    # By real path: the folder's path may be a link whose target changes.
    real_dir = str(data_dir.resolve())
    names = sorted(files)
    for start in range(0, len(names), _FILES_PER_BATCH):
        batch = names[start : start + _FILES_PER_BATCH]
        paths = [f"{real_dir}/{name}" for name in batch]
        remembered = _read_memory(memory, paths)
        rows = [_hash_row(path, remembered) for path in paths]
        for name, row in zip(batch, rows, strict=True):
            digest.update(os.fsencode(name) + f"\0{row[-1]}\n".encode())
        _add_to_memory(memory, [row for row in rows if remembered.get(row[0]) != row[1:]])
    return digest.hexdigest()


def _hash_row(path: str, remembered: Mapping[str, tuple[Any, ...]]) -> tuple[str, int, int, str]:
    """Return the file's path, size, mtime_ns and sha256, the latter from memory where the others are unchanged."""
    key = _memory_key(path)
    try:
        status = os.stat(path)  # noqa: PTH116  a Path takes longer than the system call
        known = remembered.get(key)
        if known is not None and known[:2] == (status.st_size, status.st_mtime_ns):
            return key, status.st_size, status.st_mtime_ns, known[2]
        found = hash_file(Path(path))
    except OSError as error:
        raise DataError(f"{path}: cannot read it ({error.strerror})") from error
    return key, status.st_size, status.st_mtime_ns, found


def _memory_key(path: str) -> str:
    # The path of the data folder may not be UTF-8, which SQLite requires.
    return path if path.isascii() else show_path(path)


def _read_memory(path: Path | None, files: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Return what is remembered of sorted files, by path.

    A damaged memory is deleted and remembers nothing: it only saves time.
    """
    if path is None:
        return {}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute(_TABLE)
            between = (_memory_key(files[0]), _memory_key(files[-1]))
            rows = connection.execute(_SELECT, between).fetchall()
    except (OSError, sqlite3.Error) as error:
        # An OperationalError is about the disk or a lock, except for a table with other columns.
        if not isinstance(error, (OSError, sqlite3.OperationalError)) or "no such column" in str(error):
            with contextlib.suppress(OSError):
                path.unlink()
        return {}
    return {name: tuple(facts) for name, *facts in rows}


def _add_to_memory(path: Path | None, rows: Sequence[tuple[str, int, int, str]]) -> None:
    """Remember rows; without success where the file cannot be written, as the next run only takes longer."""
    if path is None or not rows:
        return
    with contextlib.suppress(OSError, sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(_TABLE)
        connection.executemany("INSERT OR REPLACE INTO file_hash VALUES (?, ?, ?, ?)", rows)
        connection.commit()
