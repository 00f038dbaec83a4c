"""Which images a run saw: kept next to its report, so that any two runs can be compared after artifacts are gone.

<reports>/.images/<digest>.jsonl.gz   one list per data set, shared by all runs on it
<reports>/<run_id>/images.json        which list is the run's
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pydantic

from reefline.data.image_record import ImageRecord
from reefline.errors import RecordError
from reefline.report.ingested_images import read_ingested
from reefline.system.files import hash_file, write_whole
from reefline.system.record import Record

POINTER_FILE = "images.json"
_LISTS = ".images"
_DIGEST_CHARACTERS = 16
_MARK_CHARACTERS = 10
# A page that holds every change of a large data set would be larger than the reports themselves.
MAX_NAMED_CHANGES = 500


@dataclass(frozen=True)
class ImagePointer(Record):
    """images.json: the digest of a run's image list. It becomes a file's name, so it is nothing but hexadecimal."""

    digest: Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{16}$")]


@dataclass(frozen=True)
class ImageChange(Record):
    """One image in two lists: marks stand for content, boxes and split; None where the image is missing."""

    image: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class ImageChanges(Record):
    """What differs between two lists; `changes` holds the first MAX_NAMED_CHANGES, sorted by name."""

    added: int
    removed: int
    changed: int
    changes: tuple[ImageChange, ...]

    @property
    def is_complete(self) -> bool:
        """Whether `changes` has every change."""
        return len(self.changes) == self.added + self.removed + self.changed


def keep_image_list(run_folder: Path, records: Path) -> None:
    """Note the images of a run in its folder; `records` is the records.jsonl of its ingestion.

    A list that another run has kept already is not written again.

    Raises:
        RecordError: the records are damaged.
        OSError: the records cannot be read, or the disk is full.
    """
    digest = hash_file(records)[:_DIGEST_CHARACTERS]
    target = _locate(run_folder.parent, digest)
    if not target.is_file():
        marks = {record.image: _mark(record) for record in read_ingested(records)}
        lines = "".join(f"{json.dumps([image, mark])}\n" for image, mark in sorted(marks.items()))
        target.parent.mkdir(exist_ok=True)
        write_whole(target, gzip.compress(lines.encode("utf-8"), mtime=0))
    ImagePointer(digest).write(run_folder / POINTER_FILE)


def read_image_list(reports: Path, digest: str) -> dict[str, str]:
    """Return the mark of each image in a list.

    Raises:
        RecordError: the list is missing or damaged.
    """
    path = _locate(reports, digest)
    try:
        lines = gzip.decompress(path.read_bytes()).decode("utf-8").splitlines()
        return {str(image): str(mark) for image, mark in map(json.loads, lines)}
    except OSError as error:
        raise RecordError(f"{path}: cannot read it ({error.strerror or error})") from error
    except (ValueError, TypeError, EOFError, zlib.error) as error:
        raise RecordError(f"{path}: damaged ({error}); rebuild it with `reefline report`") from error


def list_image_lists(reports: Path) -> dict[str, Path]:
    """Return the files of all image lists by digest."""
    return {path.name.partition(".")[0]: path for path in sorted((reports / _LISTS).glob("*.jsonl.gz"))}


def compare_images(before: dict[str, str], after: dict[str, str]) -> ImageChanges:
    """Return what differs between the marks of two lists."""
    added, removed = after.keys() - before.keys(), before.keys() - after.keys()
    changed = {image for image in before.keys() & after.keys() if before[image] != after[image]}
    names = sorted(added | removed | changed)[:MAX_NAMED_CHANGES]
    return ImageChanges(
        len(added),
        len(removed),
        len(changed),
        tuple(ImageChange(name, before.get(name), after.get(name)) for name in names),
    )


def _locate(reports: Path, digest: str) -> Path:
    return reports / _LISTS / f"{digest}.jsonl.gz"


def _mark(record: ImageRecord) -> str:
    content = json.dumps([record.split, record.sha256, [item.to_json() for item in record.objects]])
    return hashlib.sha256(content.encode("utf-8")).hexdigest()[:_MARK_CHARACTERS]
