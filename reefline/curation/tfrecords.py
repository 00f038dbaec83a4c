"""A prepared data set as the sharded TFRecords of the Object Detection API, for training elsewhere."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reefline.curation.data_folder import LABEL_MAP_FILE
from reefline.formats.tf_example import IngestedExample, IngestedObject, write_examples
from reefline.structures.annotation import AnnotatedObject
from reefline.structures.label_map import LabelMap
from reefline.system.files import hash_file

FOLDER = "tfrecords"
_SHARD_NAME = re.compile(r"\.?(train|val|test)-\d{5}-of-\d{5}(\.\d+\.part)?")


@dataclass(frozen=True)
class PreparedImage:
    """A written image: `name` is relative to the output folder, sizes and boxes are in its px."""

    name: str
    width_px: int
    height_px: int
    objects: tuple[AnnotatedObject, ...]


def write_tfrecords(
    out: Path, splits: Mapping[str, Sequence[PreparedImage]], label_map: LabelMap, *, shards: int
) -> None:
    """Write `<split>-00000-of-<shards>` and so on to `tfrecords/`, uncompressed, in place of those of an earlier call.

    A shard holds every `shards`-th image in the order of content hashes, which is as good as shuffled.

    Raises:
        OSError: an image cannot be read, or a file written.
    """
    folder = out / FOLDER
    folder.mkdir(exist_ok=True)
    written = set()
    for split, images in splits.items():
        hashed = sorted(((hash_file(out / image.name), image) for image in images), key=lambda pair: pair[0])
        for index in range(shards):
            path = folder / f"{split}-{index:05d}-of-{shards:05d}"
            part = folder / f".{path.name}.{os.getpid()}.part"
            write_examples(part, _load(out, hashed[index::shards], label_map), is_gzip=False)
            part.replace(path)
            written.add(path.name)
    for found in folder.iterdir():
        if found.name not in written and _SHARD_NAME.fullmatch(found.name):
            found.unlink()
    shutil.copyfile(out / LABEL_MAP_FILE, folder / LABEL_MAP_FILE)


def remove_tfrecords(out: Path) -> None:
    """Delete what `write_tfrecords` wrote, which would no longer fit the images; other files stay.

    Raises:
        OSError: a file cannot be deleted.
    """
    folder = out / FOLDER
    if not folder.is_dir():
        return
    for found in list(folder.iterdir()):
        if found.name == LABEL_MAP_FILE or _SHARD_NAME.fullmatch(found.name):
            found.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


def _load(out: Path, images: Sequence[tuple[str, PreparedImage]], label_map: LabelMap) -> Iterator[IngestedExample]:
    class_ids = label_map.ids_by_name()
    for sha256, image in images:
        yield IngestedExample(
            source_id=image.name,
            filename=image.name,
            encoded_jpeg=(out / image.name).read_bytes(),
            width_px=image.width_px,
            height_px=image.height_px,
            objects=tuple(
                IngestedObject(
                    item.box_xyxy_px, class_ids[item.label], item.label, item.difficult, item.truncated, item.pose
                )
                for item in image.objects
            ),
            sha256=sha256,
        )
