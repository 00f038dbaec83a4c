"""The work of ingestion in pieces that any process of any machine can do: inspecting images, writing shards.

Every worker process imports this module, so it must import quickly: no TensorFlow, no Beam, no pydantic.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar

from reefline.data.data_parts import DataPart
from reefline.data.inspection import ImageLimits, Inspection, inspect_candidate
from reefline.data.matching import Candidate
from reefline.data.shards import Shard, write_shard
from reefline.storage.location import Location
from reefline.storage.opening import open_storage
from reefline.structures.artifacts import ExamplesFolder
from reefline.structures.label_map import LabelMap
from reefline.system.record import Record


@dataclass(frozen=True)
class Inspections(Record):
    """The inspections of an InspectTask, in the order of its candidates."""

    inspections: tuple[Inspection, ...]


@dataclass(frozen=True)
class InspectTask(Record):
    """Some candidates to inspect.

    `label_names` are those of the given label map; None where the label map is built from the labels found.
    """

    RESULT: ClassVar[type[Record]] = Inspections

    data: DataPart
    candidates: tuple[Candidate, ...]
    limits: ImageLimits
    label_names: tuple[str, ...] | None

    def run(self) -> Inspections:
        """Inspect the candidates, with one image in memory at a time.

        Raises:
            StorageError: the data's store cannot be read, or a file changed since it was listed.
        """
        with self.data.provide() as data_dir:
            return Inspections(
                tuple(
                    inspect_candidate(data_dir, candidate, self.limits, self.label_names)
                    for candidate in self.candidates
                )
            )


@dataclass(frozen=True)
class WrittenShard(Record):
    """A shard that a WriteTask wrote: its path or URI."""

    place: str


@dataclass(frozen=True)
class WriteTask(Record):
    """A shard to write into the ExamplesFolder at `examples`, a path or URI."""

    RESULT: ClassVar[type[Record]] = WrittenShard

    data: DataPart
    shard: Shard
    label_map: LabelMap
    examples: str

    def run(self) -> WrittenShard:
        """Write the shard, with one image in memory at a time; the file appears complete or not at all.

        Raises:
            DataError: an image has changed or disappeared since it was inspected.
            StorageError: a store cannot be read or written.
        """
        examples = Location.parse(self.examples)
        with self.data.provide() as data_dir:
            if not examples.is_remote:
                split_dir = ExamplesFolder(examples.local_path).split(self.shard.split)
                return WrittenShard(str(write_shard(data_dir, split_dir, self.shard, self.label_map)))
            with tempfile.TemporaryDirectory(prefix="reefline-shard-") as folder:
                path = write_shard(
                    data_dir, ExamplesFolder(Path(folder)).split(self.shard.split), self.shard, self.label_map
                )
                name = path.relative_to(folder).as_posix()
                open_storage(examples).upload(path, name)
                return WrittenShard(str(examples / name))


ResultT = TypeVar("ResultT", bound=Record, covariant=True)


class Task(Protocol[ResultT]):
    """A piece of work; task and result are Records, so that both can be kept as JSON."""

    RESULT: ClassVar[type[Record]]

    def run(self) -> ResultT:
        """Do the work. It may be done twice, and must leave the same then."""
