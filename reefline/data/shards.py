"""The second pass over the images: one shard at a time, one image in memory at a time."""

from __future__ import annotations

import hashlib
from pathlib import Path

from reefline.data.image_record import ImageRecord
from reefline.data.planning import Shard
from reefline.errors import DataError
from reefline.formats.tf_example import IngestedExample, write_examples
from reefline.images.codec import transcode_to_rgb_jpeg
from reefline.structures.label_map import LabelMap


def write_shard(data_dir: Path, split_dir: Path, shard: Shard, label_map: LabelMap) -> Path:
    """Write a shard into the folder of its split and return its path; the file appears whole or not at all.

    Raises:
        DataError: an image is not the one that was inspected any more.
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
    """Read an image again and return it as it is ingested: a good RGB JPEG byte for byte, any other transcoded.

    Raises:
        DataError: the file is gone, or its content is not what was inspected.
    """
    try:
        image_bytes = (data_dir / record.image).read_bytes()
    except OSError as error:
        raise DataError(f"{record.image}: gone since it was inspected ({error.strerror}): run again") from error
    if hashlib.sha256(image_bytes).hexdigest() != record.sha256:
        raise DataError(f"{record.image}: changed while it was ingested: run again")
    size_px = (record.width_px, record.height_px)
    if not record.passes_through:
        image_bytes = transcode_to_rgb_jpeg(image_bytes, apply_exif=record.apply_exif, size_px=size_px)
    objects = record.objects
    return IngestedExample(
        # The relative path, as a name alone may be there twice.
        source_id=record.image,
        filename=record.image,
        encoded_jpeg=image_bytes,
        width_px=record.width_px,
        height_px=record.height_px,
        boxes_xyxy_px=tuple(item.box_xyxy_px for item in objects),
        class_ids=tuple(class_ids[item.label] for item in objects),
        class_names=tuple(item.label for item in objects),
        difficult=tuple(item.difficult for item in objects),
        truncated=tuple(item.truncated for item in objects),
        poses=tuple(item.pose for item in objects),
        sha256=record.sha256,
    )
