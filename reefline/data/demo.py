"""The demo data set: shapes on varied backgrounds, drawn from a seed, so that a first run needs no data."""

from __future__ import annotations

import colorsys
import io
import json
import math
import os
import shutil
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from reefline.errors import DataError
from reefline.formats.voc import format_voc_annotation
from reefline.structures.annotation import AnnotatedObject, Annotation
from reefline.structures.boxes import BoxXyxyPx

DEMO_CLASSES = ("disc", "square", "triangle")
IMAGE_SIZE_PX = 240

_MARKER = "demo.json"
_DRAWING_VERSION = 1
_OBJECT_SIZE_PX = (52, 110)
_MARGIN_PX = 3
_PLACING_ATTEMPTS = 30
# Each class has its own range of hues: wide enough to vary, and separate enough to learn in a few hundred steps.
_HUE_CENTRES = {"disc": 0.0, "square": 0.33, "triangle": 0.63}
_HUE_SPREAD = 0.09


def generate_demo_data(directory: Path, *, images: int = 360, seed: int = 0) -> None:
    """Draw a VOC data set (JPEGImages, Annotations) of three classes into `directory`.

    Equal arguments give equal files. The folder appears complete or not at all. The same data set is kept, an older
    demo data set is replaced.

    Raises:
        DataError: `directory` holds something that is not a demo data set.
    """
    marker = json.dumps({"images": images, "seed": seed, "drawing_version": _DRAWING_VERSION})
    if directory.is_dir() and any(directory.iterdir()):
        if not (directory / _MARKER).is_file():
            raise DataError(f"{directory}: holds other files, so no demo data is written there: choose an empty folder")
        if (directory / _MARKER).read_text() == marker:
            return
    beside = directory.with_name(f".{directory.name}.{os.getpid()}.part")
    try:
        _write_data_set(beside, images=images, seed=seed)
        (beside / _MARKER).write_text(marker)
        if directory.exists():
            shutil.rmtree(directory)
        beside.rename(directory)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def draw_demo_image(seed: int, index: int) -> tuple[bytes, tuple[AnnotatedObject, ...]]:
    """Return image number `index` of a seed: a JPEG of 240 x 240 px, and its one to four objects."""
    rng = np.random.default_rng([seed, index])
    canvas = _draw_background(rng)
    boxes = _place_boxes(rng, count=int(rng.integers(1, 5)))
    objects = []
    for number, box in enumerate(boxes):
        # The first object's class follows the index, so that even a handful of images holds every class.
        label = DEMO_CLASSES[index % 3] if number == 0 else DEMO_CLASSES[int(rng.integers(3))]
        _draw_shape(canvas, rng, label, box)
        objects.append(AnnotatedObject(label=label, box_xyxy_px=box))
    pixels = np.asarray(canvas, dtype=np.float32)
    pixels += rng.normal(0.0, rng.uniform(1.0, 8.0), pixels.shape).astype(np.float32)
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue(), tuple(objects)


def _write_data_set(directory: Path, *, images: int, seed: int) -> None:
    (directory / "JPEGImages").mkdir(parents=True)
    (directory / "Annotations").mkdir()
    for index in range(images):
        jpeg_bytes, objects = draw_demo_image(seed, index)
        annotation = Annotation(f"demo_{index:05d}.jpg", IMAGE_SIZE_PX, IMAGE_SIZE_PX, objects)
        (directory / "JPEGImages" / annotation.filename).write_bytes(jpeg_bytes)
        xml_path = directory / "Annotations" / f"demo_{index:05d}.xml"
        xml_path.write_bytes(format_voc_annotation(annotation))


def _draw_background(rng: np.random.Generator) -> Image.Image:
    """Return a dull background: a gradient, stripes, blotches or coarse noise."""
    size = IMAGE_SIZE_PX
    kind = int(rng.integers(4))
    if kind == 0:
        angle = rng.uniform(0, 2 * math.pi)
        ramp = np.linspace(-0.5, 0.5, size)
        mix = 0.5 + (ramp[None, :] * math.cos(angle) + ramp[:, None] * math.sin(angle))
    elif kind == 1:
        period_px, angle = rng.uniform(8, 50), rng.uniform(0, 2 * math.pi)
        across = np.arange(size)[None, :] * math.cos(angle) + np.arange(size)[:, None] * math.sin(angle)
        mix = 0.5 + 0.5 * np.sin(across * (2 * math.pi / period_px))
    else:
        cells = int(rng.integers(3, 8) if kind == 2 else rng.integers(20, 60))
        coarse = Image.fromarray((rng.random((cells, cells)) * 255).astype(np.uint8))
        mix = np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float64) / 255
    first, second = _dull_colour(rng), _dull_colour(rng)
    blended = first + mix.clip(0, 1)[:, :, None] * (second - first)
    return Image.fromarray(blended.clip(0, 255).astype(np.uint8))


def _dull_colour(rng: np.random.Generator) -> np.ndarray:
    rgb = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.0, 0.3), rng.uniform(0.15, 0.95))
    return np.array(rgb) * 255


def _place_boxes(rng: np.random.Generator, *, count: int) -> list[BoxXyxyPx]:
    """Return up to `count` boxes, at least one, inside the image and not overlapping."""
    boxes: list[BoxXyxyPx] = []
    for _ in range(_PLACING_ATTEMPTS):
        if len(boxes) == count:
            break
        side_px = int(rng.integers(*_OBJECT_SIZE_PX))
        x_min, y_min = (int(v) for v in rng.integers(_MARGIN_PX, IMAGE_SIZE_PX - _MARGIN_PX - side_px, 2))
        box = BoxXyxyPx(x_min, y_min, x_min + side_px, y_min + side_px)
        if all(_are_apart(box, other) for other in boxes):
            boxes.append(box)
    return boxes


def _are_apart(one: BoxXyxyPx, other: BoxXyxyPx) -> bool:
    return one.x_min >= other.x_max or other.x_min >= one.x_max or one.y_min >= other.y_max or other.y_min >= one.y_max


def _draw_shape(canvas: Image.Image, rng: np.random.Generator, label: str, box: BoxXyxyPx) -> None:
    """Draw one filled shape that touches all four sides of its box, with a brightness gradient over it."""
    side_px = int(box.width_px)
    mask = Image.new("L", (side_px * 4, side_px * 4), 0)
    draw, last = ImageDraw.Draw(mask), side_px * 4 - 1
    if label == "disc":
        draw.ellipse((0, 0, last, last), fill=255)
    elif label == "square":
        draw.rectangle((0, 0, last, last), fill=255)
    else:
        tip_x = int(rng.uniform(0.3, 0.7) * last)
        draw.polygon(((tip_x, 0), (last, last), (0, last)), fill=255)
    mask = mask.resize((side_px, side_px), Image.Resampling.BOX).filter(ImageFilter.SMOOTH)
    hue = (_HUE_CENTRES[label] + rng.uniform(-_HUE_SPREAD, _HUE_SPREAD)) % 1.0
    colour = np.array(colorsys.hsv_to_rgb(hue, rng.uniform(0.65, 1.0), rng.uniform(0.55, 1.0))) * 255
    shade = 1.0 + rng.uniform(-0.25, 0.25) * np.linspace(-1, 1, side_px)
    fill = np.broadcast_to(colour * shade[:, None, None], (side_px, side_px, 3)).clip(0, 255)
    canvas.paste(Image.fromarray(fill.astype(np.uint8)), (int(box.x_min), int(box.y_min)), mask)
