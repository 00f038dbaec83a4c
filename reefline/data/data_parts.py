"""A data set as the tasks of ingestion read it: a folder that all workers see, or what each copies from a store."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reefline.storage.interface import StoredObject
from reefline.storage.location import Location
from reefline.storage.opening import open_storage
from reefline.storage.transfer import download_objects
from reefline.system.record import Record


@dataclass(frozen=True)
class DataPart(Record):
    """Some files of the data set at `place`, a folder or URI; for a URI, `objects` are the files as listed."""

    place: str
    objects: tuple[StoredObject, ...] = ()

    @contextlib.contextmanager
    def provide(self) -> Iterator[Path]:
        """Yield a folder with the files: the data set's own, or a copy that ends with the context.

        Raises:
            StorageError: the store cannot be read, or a file changed since it was listed.
        """
        location = Location.parse(self.place)
        if not location.is_remote:
            yield location.local_path
            return
        with tempfile.TemporaryDirectory(prefix="reefline-data-") as folder:
            download_objects(open_storage(location), self.objects, Path(folder))
            yield Path(folder)


@dataclass(frozen=True)
class DataSet:
    """The data set at `place`, a folder or URI; `objects` are its files by name for a URI."""

    place: str
    objects: Mapping[str, StoredObject] = field(default_factory=dict)

    def part(self, names: Iterable[str]) -> DataPart:
        """Return the part with the files of these names that the data set has."""
        found = {name: self.objects[name] for name in names if name in self.objects} if self.objects else {}
        return DataPart(self.place, tuple(found.values()))
