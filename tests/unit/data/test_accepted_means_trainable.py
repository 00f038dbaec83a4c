"""Whatever ingestion lets through, TensorFlow decodes to the recorded size, with the object where its box is.

Each picture has one object: a bright rectangle on black, or a dark one on transparency, which becomes white. Format,
mode, EXIF orientation, what the boxes were drawn on, and the sizes vary.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from reefline.data.inspection import ImageLimits, inspect_candidate
from reefline.data.matching import Candidate
from reefline.data.shards import load_example
from reefline.formats.voc import format_voc_annotation, parse_voc_annotation
from reefline.images.codec import IMAGE_SUFFIXES
from reefline.structures.annotation import Annotation
from reefline.structures.boxes import BoxXyxyPx
from tests.factories import make_object
from tests.fuzz.harness import CASES

# How each format stores each kind of pixels; Pillow writes no other.
MODES = {
    "JPEG": ("RGB", "L", "CMYK"),
    "PNG": ("RGB", "L", "P", "1", "RGBA", "LA", "I;16", "transparent"),
    "BMP": ("RGB", "L", "P", "1"),
    "WEBP": ("RGB", "RGBA", "transparent"),
    "GIF": ("L", "P", "RGB"),
    "TIFF": ("RGB", "L", "P", "1", "RGBA", "CMYK", "I;16", "F"),
}
EXIF_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF")
UPRIGHT = 1
# Pillow's own table of how to undo an orientation, read backwards: how a camera stores an upright picture.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
SWAPPING = (5, 6, 7, 8)
# Compression and shrinking blur an edge.
EDGE_PX = 4
# Below this, resized boxes fit the turned picture as well.
MIN_DIFFERENCE_PX = 8
COMBINATIONS = 350
DARK, BRIGHT = 70, 185


@dataclass(frozen=True)
class Picture:
    """How a picture is drawn, stored and annotated; sizes are of the upright picture."""

    image_format: str
    mode: str
    orientation: int
    drawn_upright: bool
    size_px: tuple[int, int]
    box_px: tuple[int, int, int, int]
    annotated_scale: float
    max_dimension: int | None

    @property
    def is_inverted(self) -> bool:
        """Whether the object is the dark one."""
        return self.mode == "transparent"

    def draw(self) -> Image.Image:
        """Return the upright picture as 8-bit grey with the object in white."""
        image = Image.new("L", self.size_px, 0)
        image.paste(255, self.box_px)
        return image

    def encode(self) -> bytes:
        """Return the file."""
        image = self.draw()
        if self.orientation != UPRIGHT:
            image = image.transpose(STORED[self.orientation])
        buffer = io.BytesIO()
        options: dict[str, object] = {}
        if self.orientation != UPRIGHT:
            exif = Image.Exif()
            exif[0x0112] = self.orientation
            options["exif"] = exif
        _to_mode(image, self.mode).save(buffer, self.image_format, **options)
        return buffer.getvalue()

    def annotate(self) -> Annotation:
        """Return the annotation as a tool that applies or ignores the orientation writes it."""
        upright = np.asarray(self.draw())
        seen = upright
        if not self.drawn_upright and self.orientation != UPRIGHT:
            seen = np.asarray(Image.fromarray(upright).transpose(STORED[self.orientation]))
        rows, columns = np.flatnonzero(seen.max(axis=1)), np.flatnonzero(seen.max(axis=0))
        box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        scale = self.annotated_scale
        drawn = make_object("object", tuple(float(value * scale) for value in box))
        height_px, width_px = seen.shape
        return Annotation("a", round(width_px * scale), round(height_px * scale), (drawn,))


def _to_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode == "transparent":
        rgba = Image.new("RGBA", image.size, (0, 0, 0, 0))
        rgba.paste((0, 0, 0, 255), mask=image)
        return rgba
    if mode == "I;16":
        return Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    if mode == "F":
        return Image.fromarray(np.asarray(image).astype(np.float32) / 255)
    return image.convert("RGB").convert(mode) if mode in ("P", "CMYK") else image.convert(mode)


def _make_pictures(image_format: str) -> Iterator[Picture]:
    """Yield every combination of mode, orientation and what the boxes were drawn on, with sizes from a fixed seed."""
    random = Random(image_format)
    orientations = range(1, 9) if image_format in EXIF_FORMATS else (UPRIGHT,)
    for mode, orientation, drawn_upright, _ in itertools.product(
        MODES[image_format], orientations, (True, False), range(max(1, CASES // COMBINATIONS))
    ):
        width_px, height_px = random.randint(24, 160), random.randint(24, 160)
        # A half turn, a mirror or a square can only be told apart by looking: ingestion applies it, and asks to check.
        if not drawn_upright and (orientation not in SWAPPING or abs(width_px - height_px) < MIN_DIFFERENCE_PX):
            continue
        left, top = random.randint(0, width_px - 12), random.randint(0, height_px - 12)
        right, bottom = random.randint(left + 12, width_px), random.randint(top + 12, height_px)
        yield Picture(
            image_format,
            mode,
            orientation,
            drawn_upright,
            (width_px, height_px),
            (left, top, right, bottom),
            random.choice((1.0, 2.0)),
            random.choice((None, None, 64)),
        )


@pytest.mark.parametrize("image_format", MODES)
def test_the_object_is_where_its_box_is(tmp_path: Path, image_format: str) -> None:
    count = 0
    for picture in _make_pictures(image_format):
        _check_picture(tmp_path, picture)
        count += 1
    assert count >= len(MODES[image_format])


def _check_picture(folder: Path, picture: Picture) -> None:
    import tensorflow as tf

    (folder / "a.img").write_bytes(picture.encode())
    annotation = parse_voc_annotation(format_voc_annotation(picture.annotate()))
    limits = ImageLimits(10**8, picture.max_dimension)
    inspection = inspect_candidate(folder, Candidate("a.img", "a.xml", "train", annotation), limits, None)
    record = inspection.record
    assert record is not None, (picture, inspection.findings)
    assert len(record.objects) == 1, (picture, inspection.findings)
    example = load_example(folder, record, {"object": 1})
    pixels = tf.io.decode_jpeg(example.encoded_jpeg, channels=3).numpy()
    assert pixels.shape == (record.height_px, record.width_px, 3), picture
    assert picture.max_dimension is None or max(record.width_px, record.height_px) <= picture.max_dimension
    grey = pixels.mean(axis=2)
    assert _shows_object(255 - grey if picture.is_inverted else grey, record.objects[0].box_xyxy_px), picture


def _shows_object(grey: np.ndarray, box: BoxXyxyPx) -> bool:
    """Return whether the box's inside is bright and everything around it dark, but for the blur of the edge."""
    height_px, width_px = grey.shape
    assert 0 <= box.x_min < box.x_max <= width_px
    assert 0 <= box.y_min < box.y_max <= height_px
    inside = grey[_inner(box.y_min, box.y_max), _inner(box.x_min, box.x_max)]
    outside = np.ones_like(grey, dtype=bool)
    outside[_outer(box.y_min, box.y_max), _outer(box.x_min, box.x_max)] = False
    middle = grey[int((box.y_min + box.y_max) / 2), int((box.x_min + box.x_max) / 2)]
    return bool(min(middle, inside.min(initial=255)) > BRIGHT and grey[outside].max(initial=0) < DARK)


def _inner(low: float, high: float) -> slice:
    return slice(round(low) + EDGE_PX, max(round(low) + EDGE_PX, round(high) - EDGE_PX))


def _outer(low: float, high: float) -> slice:
    return slice(max(0, round(low) - EDGE_PX), round(high) + EDGE_PX)


def test_every_format_is_generated() -> None:
    suffixes = {"JPEG": {".jpg", ".jpeg", ".jpe"}, "TIFF": {".tif", ".tiff"}}
    named = set().union(*(suffixes.get(name, {f".{name.lower()}"}) for name in MODES))
    assert named == IMAGE_SUFFIXES
