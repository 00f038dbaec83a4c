"""The record of an image between the two passes of ingestion, and for the rules on the data set."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from reefline.structures.boxes import BoxXyxyPx

TRAIN = "train"
EVAL = "eval"
TEST = "test"
SPLITS = (TRAIN, EVAL, TEST)
# How lists, folders and formats call the splits, and the name that is written.
SPLIT_WORDS = {"train": TRAIN, **dict.fromkeys(("val", "valid", "validation", "eval"), EVAL), "test": TEST}
LIST_NAMES = {TRAIN: "train", EVAL: "val", TEST: "test"}
# Divided among all splits, and between train and eval, where the data keep their own test images.
UNASSIGNED = ""
TRAIN_OR_EVAL = "train or eval"


class ObjectRecord(NamedTuple):
    """One ingested box; `object_index` is the 0-based index of its <object> in the XML."""

    object_index: int
    label: str
    box_xyxy_px: BoxXyxyPx
    difficult: bool
    truncated: bool
    pose: str

    def to_json(self) -> list[Any]:
        """Return the box as a list, which is shorter than an object: there may be a million of them."""
        return [self.object_index, self.label, *self.box_xyxy_px, self.difficult, self.truncated, self.pose]

    @classmethod
    def from_json(cls, record: list[Any]) -> ObjectRecord:
        """Read back what `to_json` wrote."""
        return cls(record[0], record[1], BoxXyxyPx(*record[2:6]), *record[6:])


class ImageRecord(NamedTuple):
    """One ingested image, without its pixels.

    `image` and `xml` are relative to the data folder, with forward slashes. Width, height and boxes are those of the
    written image, after rotation and shrinking. The file's bytes are written where `passes_through` is set, else a
    JPEG, upright where `apply_exif` is. `split` is one of SPLITS, or UNASSIGNED or
    TRAIN_OR_EVAL until the split is planned.
    `perceptual_hash` has 64 bits.
    """

    image: str
    xml: str
    split: str
    sha256: str
    perceptual_hash: int
    width_px: int
    height_px: int
    apply_exif: bool
    passes_through: bool
    objects: tuple[ObjectRecord, ...]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the objects as one flat tuple: pickling each object and box takes five times as long."""
        flat = tuple(value for item in self.objects for value in (*item[:2], *item[2], *item[3:]))
        return _restore_record, (self[:-1], flat)

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON's types."""
        return {**self._asdict(), "objects": [item.to_json() for item in self.objects]}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> ImageRecord:
        """Read back what `to_json` wrote."""
        return cls(**{**record, "objects": tuple(map(ObjectRecord.from_json, record["objects"]))})


def _restore_record(facts: tuple[Any, ...], flat: tuple[Any, ...]) -> ImageRecord:
    values = iter(flat)
    # Each of the nine columns takes its next value from the same iterator.
    objects = tuple(
        ObjectRecord(index, label, BoxXyxyPx(x_min, y_min, x_max, y_max), difficult, truncated, pose)
        for index, label, x_min, y_min, x_max, y_max, difficult, truncated, pose in zip(*[values] * 9, strict=True)
    )
    return ImageRecord._make((*facts, objects))


def write_records(path: Path, records: Iterable[ImageRecord]) -> None:
    """Write the records as JSON Lines."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(record.to_json()) + "\n" for record in records)


def read_records(path: Path) -> Iterator[ImageRecord]:
    """Yield the records of a file that `write_records` wrote."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield ImageRecord.from_json(json.loads(line))
