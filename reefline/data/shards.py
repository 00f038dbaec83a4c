"""The second pass over the images: writes one shard at a time, with one image in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reefline.data.image_record import ImageRecord
from reefline.data.rendering import load_jpeg
from reefline.formats.tf_example import IngestedExample, IngestedObject, write_examples
from reefline.structures.label_map import LabelMap


@dataclass(frozen=True)
class Shard:
    """One TFRecord file to write: number `index` of the `count` files of its split."""

    split: str
    index: int
    count: int
    records: tuple[ImageRecord, ...]

    @property
    def file_name(self) -> str:
        """The file's name, in the form that TFX expects."""
        return f"data_tfrecord-{self.index:05d}-of-{self.count:05d}.gz"


def write_shard(data_dir: Path, split_dir: Path, shard: Shard, label_map: LabelMap) -> Path:
    """Write a shard to the folder of its split and return its path; the file appears complete or not at all.

    Raises:
        DataError: an image has changed or disappeared since it was inspected.
    """
    split_dir.mkdir(parents=True, exist_ok=True)
    path = split_dir / shard.file_name
    beside = split_dir.with_name(f".{split_dir.name}.{shard.file_name}.part")
    class_ids = label_map.ids_by_name()
    try:
        write_examples(beside, (load_example(data_dir, record, class_ids) for record in shard.records))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return path


def load_example(data_dir: Path, record: ImageRecord, class_ids: dict[str, int]) -> IngestedExample:
    """Read an image again and return its example: a good RGB JPEG unchanged, anything else transcoded.

    Raises:
        DataError: the image has changed or disappeared since it was inspected.
    """
    image_bytes = load_jpeg(data_dir, record)
    return IngestedExample(
        # The relative path: a name alone may not be unique.
        source_id=record.image,
        filename=record.image,
        encoded_jpeg=image_bytes,
        width_px=record.width_px,
        height_px=record.height_px,
        objects=tuple(
            IngestedObject(
                item.box_xyxy_px, class_ids[item.label], item.label, item.difficult, item.truncated, item.pose
            )
            for item in record.objects
        ),
        sha256=record.sha256,
    )
