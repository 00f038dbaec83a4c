"""A local folder as a storage."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Optional

from reefline.errors import StorageError
from reefline.storage.interface import Content, Revision, StoredObject
from reefline.storage.location import Location
from reefline.system.files import flush_to_disk, write_whole

_LOCK_FILE = ".lock"


class LocalStorage:
    """A local folder; a revision is a file's inode, time and size: every write makes a new file."""

    def __init__(self, location: Location) -> None:
        """Name the folder; it is created by the first write."""
        self.location = location
        self._root = location.local_path

    def read(self, name: str) -> Optional[Content]:
        """See Storage."""
        with self._explain(name):
            try:
                with (self._root / name).open("rb") as file:
                    return Content(file.read(), _revision(os.fstat(file.fileno())))
            except FileNotFoundError:
                return None

    def list_objects(self, prefix: str = "") -> Sequence[StoredObject]:
        """See Storage."""
        with self._explain(prefix):
            files = [Path(folder) / name for folder, _, names in os.walk(self._root / prefix) for name in names]
            found = [
                StoredObject(path.relative_to(self._root).as_posix(), status.st_size, _revision(status))
                for path in files
                if path.name != _LOCK_FILE and (status := path.stat())
            ]
        return sorted(found, key=lambda stored: stored.name)

    def list_children(self, prefix: str = "") -> Sequence[str]:
        """See Storage."""
        folder = self._root / prefix
        with self._explain(prefix):
            return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def write(self, name: str, data: bytes) -> None:
        """See Storage."""
        with self._explain(name):
            write_whole(self._make_parent(name), data)

    def create_if_absent(self, name: str, data: bytes) -> bool:
        """See Storage."""
        with self._explain(name), self._lock():
            path = self._make_parent(name)
            if path.exists():
                return path.read_bytes() == data
            write_whole(path, data)
        return True

    def replace_if_match(self, name: str, data: bytes, revision: Revision) -> bool:
        """See Storage."""
        with self._explain(name), self._lock():
            found = self.read(name)
            if found is None or found.revision != revision:
                return found is not None and found.data == data
            write_whole(self._root / name, data)
        return True

    def upload(self, source: Path, name: str) -> None:
        """See Storage."""
        with self._explain(name):
            _copy_whole(source, self._make_parent(name))

    def download(self, name: str, target: Path, revision: Optional[Revision] = None) -> bool:
        """See Storage."""
        with self._explain(name):
            path = self._root / name
            if not path.is_file():
                return False
            if revision is not None and _revision(path.stat()) != revision:
                raise StorageError(f"{self.location / name}: changed while it was read; run again")
            _copy_whole(path, target)
        return True

    def delete(self, name: str) -> None:
        """See Storage."""
        with self._explain(name):
            (self._root / name).unlink(missing_ok=True)

    def _make_parent(self, name: str) -> Path:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """Keep other conditional writes to this folder out; the lock ends with its process."""
        self._root.mkdir(parents=True, exist_ok=True)
        with (self._root / _LOCK_FILE).open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def _explain(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"{self.location / name}: cannot be used ({error.strerror}); free space or fix permissions, then retry"
            ) from error


def _revision(status: os.stat_result) -> Revision:
    return Revision(f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}")


def _copy_whole(source: Path, target: Path) -> None:
    """Copy a file; a reader of the target sees the old or the new content."""
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    os.close(descriptor)
    partial = Path(name)
    try:
        shutil.copyfile(source, partial)
        # mkstemp admits its owner only.
        partial.chmod(0o644)
        flush_to_disk(partial)
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
