"""Small real inputs for the training, export and quantization tests."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from reefline.boxes import BoxXyxyPx
from reefline.label_map import LabelMap, write_label_map
from reefline.tf_example import IngestedExample, write_examples

LABELS = LabelMap(names=("red", "blue"))
COLOURS = {"red": (220, 40, 40), "blue": (40, 60, 220)}


def draw_example(index: int, size_px: int = 128) -> IngestedExample:
    """Return an image with a red square and, where the index is odd, a blue one."""
    generator = np.random.default_rng(index)
    image = Image.fromarray(generator.integers(90, 160, (size_px, size_px, 3), dtype=np.uint8))
    pen = ImageDraw.Draw(image)
    names = LABELS.names[: 1 + index % 2]
    boxes = []
    for name in names:
        side = int(generator.integers(30, 60))
        left, top = (int(value) for value in generator.integers(0, size_px - side, 2))
        pen.rectangle((left, top, left + side - 1, top + side - 1), fill=COLOURS[name])
        boxes.append(BoxXyxyPx(left, top, left + side, top + side))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG")
    return IngestedExample(
        source_id=f"square_{index}.jpg",
        filename=f"square_{index}.jpg",
        encoded_jpeg=buffer.getvalue(),
        width_px=size_px,
        height_px=size_px,
        boxes_xyxy_px=tuple(boxes),
        class_ids=tuple(LABELS.id_of(name) for name in names),
        class_names=names,
        difficult=(False,) * len(names),
        truncated=(False,) * len(names),
        poses=("",) * len(names),
        sha256=f"{index:064x}",
    )


def write_records(path: Path, count: int, *, first: int = 0) -> Path:
    """Write a gzip TFRecord of `count` drawn examples."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_examples(path, (draw_example(index) for index in range(first, first + count)))
    return path


def write_labels(path: Path) -> Path:
    """Write the label map of the drawn examples."""
    write_label_map(path, LABELS)
    return path
