"""A data set in an object store: listed, fingerprinted by its listing, and copied to this machine for ingestion.

The content's hash is not known without downloading everything, but the listing has each object's ETag, which changes
whenever the content does (S3: the MD5 of the content or of its parts; Google: the generation, a number that no two
writes share). Equal names, sizes and ETags mean equal data. The reverse does not hold: the same content uploaded in
other parts or encrypted anew has other ETags, and is ingested again; that costs time, never correctness. The bucket
and folder are not part of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reefline.data.layouts import DataFiles, select_data_files
from reefline.data.walking import select_data_paths
from reefline.errors import DataError
from reefline.storage.interface import Storage, StoredObject
from reefline.storage.location import Location
from reefline.storage.opening import open_storage
from reefline.storage.transfer import download_objects


@dataclass(frozen=True)
class RemoteData:
    """A data set's files as one listing showed them."""

    storage: Storage
    files: DataFiles
    objects: Mapping[str, StoredObject]

    def fingerprint(self, extra: Sequence[bytes] = ()) -> str:
        """Return a sha256 over names, sizes and ETags of all that is ingested, and over the contents of `extra`."""
        digest = hashlib.sha256(b"listing\n")
        for content in extra:
            digest.update(f"extra\0{hashlib.sha256(content).hexdigest()}\n".encode())
        for name in self.files.all:
            stored = self.objects[name]
            digest.update(f"{name}\0{stored.bytes}\0{stored.revision.etag}\n".encode())
        return digest.hexdigest()

    def download(self, folder: Path) -> None:
        """Copy all that is ingested into a local folder, under the same names.

        Raises:
            StorageError: the store cannot be read, or a file changed since it was listed.
        """
        folder.mkdir(parents=True, exist_ok=True)
        download_objects(self.storage, [self.objects[name] for name in self.files.all], folder)


def list_remote_data(location: Location, *, image_dir: str | None, annotation_dir: str | None) -> RemoteData:
    """Return the images, annotations and split lists below a URI, as `list_data_files` does for a folder.

    Raises:
        DataError: there are no images or no annotations, or an object has no ETag.
        StorageError: the store cannot be read.
    """
    storage = open_storage(location)
    listed = {stored.name: stored for stored in storage.list_objects()}
    objects = {name: listed[name] for name in select_data_paths(listed)}
    for name, value in (("image_dir", image_dir), ("annotation_dir", annotation_dir)):
        if value is not None and not any(path.startswith(f"{value.rstrip('/')}/") for path in objects):
            raise DataError(f"{location / value}: no such folder: data.{name} is relative to the data folder")
    files = select_data_files(objects, str(location), image_dir=image_dir, annotation_dir=annotation_dir)
    unmarked = [name for name in files.all if not objects[name].revision.etag]
    if unmarked:
        raise DataError(
            f"{location / unmarked[0]}: the store lists no ETag, so changes would go unnoticed; copy the data"
        )
    return RemoteData(storage, files, objects)
