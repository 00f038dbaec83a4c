"""A folder of an object store as a storage."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from reefline.errors import StorageError
from reefline.storage.connection import connect
from reefline.storage.failures import explain_failures, is_missing_bucket
from reefline.storage.interface import Content, Revision, StoredObject
from reefline.storage.location import Location

if TYPE_CHECKING:
    from obstore import PutMode

_LISTING_CHUNK = 1000
_BLOCK_BYTES = 4 << 20


class ObjectStorage:
    """A folder of a bucket, on S3 or Google Cloud Storage."""

    def __init__(self, location: Location) -> None:
        """Connect; nothing is sent yet.

        Raises:
            StorageError: the environment lacks what the store needs.
        """
        self.location = location
        self._store = connect(location)

    def read(self, name: str) -> Optional[Content]:
        """See Storage."""
        import obstore

        with self._explain(name):
            try:
                result = obstore.get(self._store, self._key(name))
                return Content(bytes(result.bytes()), _revision(result.meta))
            except FileNotFoundError as error:
                if is_missing_bucket(error):
                    raise
                return None

    def list_objects(self, prefix: str = "") -> Sequence[StoredObject]:
        """See Storage."""
        import obstore

        folder = self._key(prefix)
        start = len(self.location.path) + 1 if self.location.path else 0
        with self._explain(prefix):
            found = [
                StoredObject(meta["path"][start:], meta["size"], _revision(meta))
                for chunk in obstore.list(self._store, folder or None, chunk_size=_LISTING_CHUNK)
                for meta in chunk
            ]
        return sorted(_without_folder_marks(found), key=lambda stored: stored.name)

    def list_children(self, prefix: str = "") -> Sequence[str]:
        """See Storage."""
        import obstore

        folder = self._key(prefix)
        with self._explain(prefix):
            listing = obstore.list_with_delimiter(self._store, folder or None)
        paths = [*listing["common_prefixes"], *(meta["path"] for meta in listing["objects"])]
        return sorted({path.rpartition("/")[2] for path in paths if path != folder})

    def write(self, name: str, data: bytes) -> None:
        """See Storage."""
        self._put(name, data)

    def create_if_absent(self, name: str, data: bytes) -> bool:
        """See Storage."""
        return self._put_if(name, data, "create")

    def replace_if_match(self, name: str, data: bytes, revision: Revision) -> bool:
        """See Storage."""
        return self._put_if(name, data, {"e_tag": revision.etag, "version": revision.version})

    def upload(self, source: Path, name: str) -> None:
        """See Storage."""
        self._put(name, source)

    def download(self, name: str, target: Path, revision: Optional[Revision] = None) -> bool:
        """See Storage."""
        import obstore
        from obstore.exceptions import PreconditionError

        with self._explain(name):
            try:
                result = obstore.get(
                    self._store, self._key(name), options={"if_match": revision.etag} if revision else None
                )
            except FileNotFoundError as error:
                if is_missing_bucket(error):
                    raise
                return False
            except PreconditionError as error:
                raise StorageError(f"{self.location / name}: changed while it was read; run again") from error
            blocks = result.stream(min_chunk_size=_BLOCK_BYTES)
            try:
                with target.open("wb") as file:
                    for block in blocks:
                        file.write(block)
            except BaseException:
                target.unlink(missing_ok=True)
                raise
        return True

    def delete(self, name: str) -> None:
        """See Storage."""
        import obstore

        # Google answers 404 for an object that does not exist, S3 does not.
        with contextlib.suppress(FileNotFoundError), self._explain(name):
            obstore.delete(self._store, self._key(name))

    def _put(self, name: str, data: bytes | Path) -> None:
        import obstore

        with self._explain(name):
            obstore.put(self._store, self._key(name), data)

    def _put_if(self, name: str, data: bytes, mode: PutMode) -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._explain(name):
            try:
                obstore.put(self._store, self._key(name), data, mode=mode)
            except (AlreadyExistsError, PreconditionError, FileNotFoundError) as error:
                if isinstance(error, FileNotFoundError) and mode == "create":
                    raise
                # The store may have written it and lost its answer on the way; the retry is refused then.
                found = self.read(name)
                return found is not None and found.data == data
        return True

    def _key(self, name: str) -> str:
        return (self.location / name).path if name else self.location.path

    @contextlib.contextmanager
    def _explain(self, name: str) -> Iterator[None]:
        with explain_failures(self.location / name if name else self.location):
            yield


def _revision(meta: Mapping[str, Any]) -> Revision:
    return Revision(meta["e_tag"], meta["version"])


def _without_folder_marks(found: Sequence[StoredObject]) -> list[StoredObject]:
    """Leave out the empty objects that consoles write for a folder: no local folder can hold both."""
    folders = {stored.name.rpartition("/")[0] for stored in found}
    parents = {folder[:end] for folder in folders for end in _ends(folder)}
    return [stored for stored in found if stored.name and not (stored.bytes == 0 and stored.name in parents)]


def _ends(folder: str) -> Iterator[int]:
    yield from (index for index, character in enumerate(folder) if character == "/")
    yield len(folder)
