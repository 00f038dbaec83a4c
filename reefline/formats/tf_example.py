"""tf.Examples with the features the OD API's TfExampleDecoder reads, written to and read from gzip TFRecords.

Feature names and the fraction convention: object_detection/core/standard_fields.py and
object_detection/data_decoders/tf_example_decoder.py of the TF2 Object Detection API.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reefline.structures.boxes import BoxXyxyPx

# JPEG data does not shrink further: a stored gzip stream costs a tenth of the time of a deflated one, and every reader
# of gzip reads it (benchmarks/ingestion.py).
GZIP_LEVEL = 0
# Fractions are float32: this many decimals of a pixel come back exactly for images up to 16,000 px.
_PIXEL_DECIMALS = 3


@dataclass(frozen=True)
class IngestedExample:
    """One image as it was ingested: an RGB JPEG and its boxes; the per-object tuples are equally long."""

    source_id: str
    filename: str
    encoded_jpeg: bytes
    width_px: int
    height_px: int
    boxes_xyxy_px: tuple[BoxXyxyPx, ...] = ()
    class_ids: tuple[int, ...] = ()
    class_names: tuple[str, ...] = ()
    difficult: tuple[bool, ...] = ()
    truncated: tuple[bool, ...] = ()
    poses: tuple[str, ...] = ()
    sha256: str = ""


def encode_example(example: IngestedExample) -> bytes:
    """Return the example as a serialized tf.Example; boxes become fractions 0..1 and class ids stay 1-based."""
    import tensorflow as tf

    message = tf.train.Example()
    features = message.features.feature
    width, height = example.width_px, example.height_px
    features["image/width"].int64_list.value.append(width)
    features["image/height"].int64_list.value.append(height)
    features["image/filename"].bytes_list.value.append(os.fsencode(example.filename))
    features["image/source_id"].bytes_list.value.append(os.fsencode(example.source_id))
    features["image/key/sha256"].bytes_list.value.append(example.sha256.encode())
    features["image/encoded"].bytes_list.value.append(example.encoded_jpeg)
    features["image/format"].bytes_list.value.append(b"jpeg")
    boxes = example.boxes_xyxy_px
    features["image/object/bbox/xmin"].float_list.value.extend([box.x_min / width for box in boxes])
    features["image/object/bbox/ymin"].float_list.value.extend([box.y_min / height for box in boxes])
    features["image/object/bbox/xmax"].float_list.value.extend([box.x_max / width for box in boxes])
    features["image/object/bbox/ymax"].float_list.value.extend([box.y_max / height for box in boxes])
    features["image/object/class/label"].int64_list.value.extend(example.class_ids)
    features["image/object/class/text"].bytes_list.value.extend([name.encode() for name in example.class_names])
    features["image/object/difficult"].int64_list.value.extend(map(int, example.difficult))
    features["image/object/truncated"].int64_list.value.extend(map(int, example.truncated))
    features["image/object/view"].bytes_list.value.extend([pose.encode() for pose in example.poses])
    # Equal images give equal files, whatever process wrote them.
    return message.SerializeToString(deterministic=True)


def decode_example(serialized: bytes) -> IngestedExample:
    """Return what `encode_example` wrote, with boxes in pixels again (rounded to a thousandth)."""
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
        boxes_xyxy_px=tuple(BoxXyxyPx(*box) for box in zip(*corners, strict=True)),
        class_ids=tuple(features["image/object/class/label"].int64_list.value),
        class_names=tuple(name.decode() for name in features["image/object/class/text"].bytes_list.value),
        difficult=tuple(map(bool, features["image/object/difficult"].int64_list.value)),
        truncated=tuple(map(bool, features["image/object/truncated"].int64_list.value)),
        poses=tuple(pose.decode() for pose in features["image/object/view"].bytes_list.value),
        sha256=features["image/key/sha256"].bytes_list.value[0].decode(),
    )


def write_examples(path: Path | str, examples: Iterable[IngestedExample]) -> int:
    """Write the examples into one gzip TFRecord file, one at a time, and return how many there were."""
    import tensorflow as tf

    options = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=GZIP_LEVEL)
    count = 0
    with tf.io.TFRecordWriter(str(path), options) as writer:
        for example in examples:
            writer.write(encode_example(example))
            count += 1
    return count


def read_examples(paths: Sequence[Path | str]) -> Iterator[IngestedExample]:
    """Yield the examples of gzip TFRecord files in the order of the paths, one in memory at a time."""
    import tensorflow as tf

    if not paths:
        return
    for record in tf.data.TFRecordDataset([str(path) for path in paths], compression_type="GZIP"):
        yield decode_example(record.numpy())
