"""What every store can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Protocol

from reefline.storage.location import Location


@dataclass(frozen=True)
class Revision:
    """Which content an object has: `etag` on S3, also the generation as `version` on Google Cloud Storage.

    It changes with every change of the content. Equal content may have another one, for example after an upload in
    parts.
    """

    etag: Optional[str]
    version: Optional[str] = None


@dataclass(frozen=True)
class Content:
    """An object's content and the revision it was read at."""

    data: bytes
    revision: Revision


@dataclass(frozen=True)
class StoredObject:
    """An object as a listing shows it; `name` is relative to the storage's folder, with forward slashes."""

    name: str
    bytes: int
    revision: Revision


class Storage(Protocol):
    """A folder of a store. All names are relative to `location`, with forward slashes.

    Every method raises a StorageError where the store cannot be reached, refuses access, or has no such bucket. A
    reader sees an object's old or new content, never a part of it.
    """

    @property
    def location(self) -> Location:
        """The folder."""

    def read(self, name: str) -> Optional[Content]:
        """Return an object's content, None where it does not exist."""

    def list_objects(self, prefix: str = "") -> Sequence[StoredObject]:
        """Return all objects below the folder `prefix` ("": this one), sorted by name."""

    def list_children(self, prefix: str = "") -> Sequence[str]:
        """Return the names of folders and objects directly in the folder `prefix`, sorted."""

    def write(self, name: str, data: bytes) -> None:
        """Write an object, replacing any of that name."""

    def create_if_absent(self, name: str, data: bytes) -> bool:
        """Write an object unless it exists; return whether it holds `data` now. Of several writers, one succeeds."""

    def replace_if_match(self, name: str, data: bytes, revision: Revision) -> bool:
        """Replace the content that was read at `revision`; return whether the object holds `data` now.

        False means that somebody else changed or deleted it since.
        """

    def upload(self, source: Path, name: str) -> None:
        """Write a local file as an object, in parts if it is large."""

    def download(self, name: str, target: Path, revision: Optional[Revision] = None) -> bool:
        """Write an object to a local file; return False where it does not exist.

        Raises:
            StorageError: the object is no longer at `revision`.
        """

    def delete(self, name: str) -> None:
        """Delete an object, if it exists."""
