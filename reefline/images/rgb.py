"""Any kind of pixels as 8-bit grey or RGB: deeper ones are scaled, transparent ones become white."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

_BLOCK_PIXELS = 1 << 20
# The ranges that cameras and tools store in 16-bit or float pixels.
_INTEGER_SCALES = (255.0, 4095.0, 65_535.0)
_FLOAT_SCALES = (1.0, *_INTEGER_SCALES)
# Ranges that follow from the kind of pixels, and need no check.
_USUAL_INTEGER_SCALES = frozenset({65_535.0})
_USUAL_FLOAT_SCALES = frozenset({1.0, 255.0})
_ALPHA_MODES = frozenset({"RGBA", "LA", "PA", "RGBa", "La"})


def flatten(image: Image.Image) -> Image.Image:
    """Return an image of 8-bit grey (L) or RGB, without transparency."""
    if is_deep(image):
        return _scale_to_8_bits(image, find_full_scale(image))
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        rgba = _with_8_bit_transparency(image).convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def is_deep(image: Image.Image) -> bool:
    """Return whether a pixel has 16 bits or more, or is a float."""
    return image.mode.startswith(("I", "F"))


def find_full_scale(image: Image.Image) -> float:
    """Return the value that stands for white in an image of deep pixels: the smallest usual one that none exceeds."""
    highest = max(float(np.nan_to_num(block, posinf=0.0).max(initial=0)) for _, block in _blocks(image))
    scales = _FLOAT_SCALES if image.mode == "F" else _INTEGER_SCALES
    return next((scale for scale in scales if highest <= scale), highest)


def is_usual_scale(image: Image.Image, full_scale: float) -> bool:
    """Return whether a full scale follows from the kind of pixels, so that it is no guess."""
    return full_scale in (_USUAL_FLOAT_SCALES if image.mode == "F" else _USUAL_INTEGER_SCALES)


def _scale_to_8_bits(image: Image.Image, full_scale: float) -> Image.Image:
    """Scale deep pixels, which Pillow's own conversion would clip at 255."""
    transparent = image.info.get("transparency")
    scaled = np.empty((image.height, image.width), dtype=np.uint8)
    for top, block in _blocks(image):
        values = np.nan_to_num(block.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
        rows = (values * np.float32(255.0 / full_scale)).clip(0, 255).astype(np.uint8)
        if isinstance(transparent, int):
            rows[block == transparent] = 255
        scaled[top : top + len(rows)] = rows
    return Image.fromarray(scaled)


def _blocks(image: Image.Image) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the top row and the pixels of one part after the other: all at once would take gigabytes."""
    rows = max(1, _BLOCK_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))))


def _with_8_bit_transparency(image: Image.Image) -> Image.Image:
    """Return the image with the transparent colour in the 8 bits that Pillow reduces 16-bit RGB to."""
    colour = image.info.get("transparency")
    if isinstance(colour, tuple) and max(colour) > 255:
        image = image.copy()
        image.info["transparency"] = tuple(value >> 8 for value in colour)
    return image
