"""tf.Examples with the features the OD API's TfExampleDecoder reads, written to and read from gzip TFRecords.

Feature names and the fraction convention: object_detection/core/standard_fields.py and
object_detection/data_decoders/tf_example_decoder.py of the TF2 Object Detection API.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from reefline.formats.tf_record import (
    encode_bytes,
    encode_features,
    encode_floats,
    encode_integers,
    frame_record,
)
from reefline.structures.boxes import BoxXyxyPx

# JPEG data does not compress further: storing takes a tenth of the time of deflating (benchmarks/ingestion.py), and any
# gzip reader can read it.
GZIP_LEVEL = 0
# zlib's number for its largest window in a gzip stream; its header has neither a name nor a time.
_GZIP_FORMAT = 31
# Fractions are float32: this many decimals of a pixel survive for images up to 16,000 px.
_PIXEL_DECIMALS = 3


class IngestedObject(NamedTuple):
    """One object of an ingested image; `class_id` is 1-based, as in the label map."""

    box_xyxy_px: BoxXyxyPx
    class_id: int
    class_name: str
    difficult: bool = False
    truncated: bool = False
    pose: str = "Unspecified"


@dataclass(frozen=True)
class IngestedExample:
    """One ingested image: an RGB JPEG and its objects."""

    source_id: str
    filename: str
    encoded_jpeg: bytes
    width_px: int
    height_px: int
    objects: tuple[IngestedObject, ...] = ()
    sha256: str = ""


def encode_example(example: IngestedExample) -> bytes:
    """Return the example as a serialized tf.Example; boxes become fractions 0..1, class ids stay 1-based."""
    width, height, objects = example.width_px, example.height_px, example.objects
    # Columns of the boxes and of what else an object has; one without any object has empty ones.
    boxes, class_ids, names, difficult, truncated, poses = zip(*objects, strict=True) if objects else ((),) * 6
    x_min, y_min, x_max, y_max = zip(*boxes, strict=True) if boxes else ((),) * 4
    return encode_features(
        {
            "image/width": encode_integers([width]),
            "image/height": encode_integers([height]),
            "image/filename": encode_bytes([os.fsencode(example.filename)]),
            "image/source_id": encode_bytes([os.fsencode(example.source_id)]),
            "image/key/sha256": encode_bytes([example.sha256.encode()]),
            "image/encoded": encode_bytes([example.encoded_jpeg]),
            "image/format": encode_bytes([b"jpeg"]),
            "image/object/bbox/xmin": encode_floats([value / width for value in x_min]),
            "image/object/bbox/ymin": encode_floats([value / height for value in y_min]),
            "image/object/bbox/xmax": encode_floats([value / width for value in x_max]),
            "image/object/bbox/ymax": encode_floats([value / height for value in y_max]),
            "image/object/class/label": encode_integers(class_ids),
            "image/object/class/text": encode_bytes([name.encode() for name in names]),
            "image/object/difficult": encode_integers(difficult),
            "image/object/truncated": encode_integers(truncated),
            "image/object/view": encode_bytes([pose.encode() for pose in poses]),
        }
    )


def decode_example(serialized: bytes) -> IngestedExample:
    """Read back what `encode_example` wrote; boxes are in pixels, rounded to a thousandth."""
    import tensorflow as tf

    features = tf.train.Example.FromString(serialized).features.feature
    width, height = (features[name].int64_list.value[0] for name in ("image/width", "image/height"))
    corners = [
        [round(value * extent, _PIXEL_DECIMALS) for value in features[f"image/object/bbox/{name}"].float_list.value]
        for name, extent in (("xmin", width), ("ymin", height), ("xmax", width), ("ymax", height))
    ]
    return IngestedExample(
        source_id=os.fsdecode(features["image/source_id"].bytes_list.value[0]),
        filename=os.fsdecode(features["image/filename"].bytes_list.value[0]),
        encoded_jpeg=features["image/encoded"].bytes_list.value[0],
        width_px=width,
        height_px=height,
        objects=tuple(
            IngestedObject(BoxXyxyPx(*box), class_id, name.decode(), bool(difficult), bool(truncated), pose.decode())
            for box, class_id, name, difficult, truncated, pose in zip(
                zip(*corners, strict=True),
                features["image/object/class/label"].int64_list.value,
                features["image/object/class/text"].bytes_list.value,
                features["image/object/difficult"].int64_list.value,
                features["image/object/truncated"].int64_list.value,
                features["image/object/view"].bytes_list.value,
                strict=True,
            )
        ),
        sha256=features["image/key/sha256"].bytes_list.value[0].decode(),
    )


def write_examples(path: Path | str, examples: Iterable[IngestedExample], *, is_gzip: bool = True) -> int:
    """Write the examples to one TFRecord file, by default gzip, one at a time, and return their number."""
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_FORMAT) if is_gzip else None
    count = 0
    with Path(path).open("wb") as file:
        for example in examples:
            record = frame_record(encode_example(example))
            file.write(packer.compress(record) if packer else record)
            count += 1
        if packer:
            file.write(packer.flush())
    return count


def read_examples(paths: Sequence[Path | str]) -> Iterator[IngestedExample]:
    """Yield the examples of gzip TFRecord files in the order of the paths, one in memory at a time."""
    import tensorflow as tf

    if not paths:
        return
    for record in tf.data.TFRecordDataset([str(path) for path in paths], compression_type="GZIP"):
        yield decode_example(record.numpy())
