"""Boxes, class names and scores, drawn on an image."""

from __future__ import annotations

import colorsys
import functools
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from reefline.inference.detect.records import SeenObject
from reefline.structures.boxes import BoxXyxyPx
from reefline.system.terminal import escape_control

# Steps of the golden ratio around the colour wheel: each colour is far from those before it.
_HUE_STEP = 0.618033988749895
# Fonts of many scripts, as Debian, Windows and macOS name them; Pillow's default has Latin letters only.
_FONT_FILES = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "wqy-microhei.ttc",
    "DroidSansFallbackFull.ttf",
    "arial.ttf",
    "Arial Unicode.ttf",
)
# A noncharacter, which every font draws as its glyph for "unknown".
_UNKNOWN_CHARACTER = "\U0010ffff"
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)
Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw_detections(image: Image.Image, objects: Sequence[SeenObject], labels: Sequence[str]) -> Image.Image:
    """Return a copy of an RGB image with a box, class name and score for each object, the best on top.

    `labels` are all classes in their order: a class has the same colour in every image.
    """
    picture = image.copy()
    pen = ImageDraw.Draw(picture)
    shorter_px = min(picture.size)
    width_px, text_px = max(1, round(shorter_px / 200)), max(11, round(shorter_px / 32))
    colours = {label: class_colour(index) for index, label in enumerate(labels)}
    ordered = sorted(objects, key=lambda seen: seen.score)
    for seen in ordered:
        pen.rectangle(_outline(seen.box_xyxy_px, picture.size), outline=colours[seen.label], width=width_px)
    # After all boxes, so that no box runs through a name.
    for seen in ordered:
        _draw_caption(pen, picture.size, seen, colours[seen.label], text_px)
    return picture


def class_colour(index: int) -> Colour:
    """Return the colour of the 0-based class, always the same, and unlike its neighbours' colours."""
    red, green, blue = colorsys.hsv_to_rgb((index * _HUE_STEP) % 1.0, 0.85, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def find_font(text: str, size_px: int) -> Font:
    """Return the first installed font that has all characters of a text, or Pillow's default font."""
    for name in _FONT_FILES:
        font = _load_font(name, size_px)
        if font is not None and _has_all(font, text):
            return font
    return ImageFont.load_default(size_px)


def _outline(box: BoxXyxyPx, size_px: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return a box as Pillow draws it, last row and column included, inside the image; its sides may be zero."""
    left, top = min(box.x_min, size_px[0] - 1), min(box.y_min, size_px[1] - 1)
    right, bottom = max(left, min(box.x_max, size_px[0]) - 1), max(top, min(box.y_max, size_px[1]) - 1)
    return left, top, right, bottom


def _draw_caption(
    pen: ImageDraw.ImageDraw, size_px: tuple[int, int], seen: SeenObject, colour: Colour, text_px: int
) -> None:
    text = f"{escape_control(seen.label)} {seen.score:.2f}"
    font = find_font(text, text_px)
    corner = _place_caption(seen.box_xyxy_px, pen.textbbox((0, 0), text, font=font), size_px)
    area = pen.textbbox(corner, text, font=font)
    pen.rectangle((area[0] - 2, area[1] - 1, area[2] + 1, area[3] + 1), fill=colour)
    pen.text(corner, text, font=font, fill=_BLACK if _is_light(colour) else _WHITE)


def _place_caption(
    box: BoxXyxyPx, text_area: tuple[float, float, float, float], size_px: tuple[int, int]
) -> tuple[float, float]:
    """Return where a text starts: above its box, or at the box's upper edge if it does not fit above."""
    _, _, right_px, bottom_px = text_area
    left_px = max(2.0, min(box.x_min + 2, size_px[0] - right_px - 2))
    above_px = box.y_min - bottom_px - 2
    return left_px, above_px if above_px >= 0 else min(box.y_min + 1, max(0.0, size_px[1] - bottom_px - 2))


def _is_light(colour: Colour) -> bool:
    # Luma of ITU-R BT.601.
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 140


@functools.lru_cache
def _load_font(name: str, size_px: int) -> ImageFont.FreeTypeFont | None:
    try:
        return ImageFont.truetype(name, size_px)
    except OSError:
        return None


def _has_all(font: ImageFont.FreeTypeFont, text: str) -> bool:
    return all(_has_character(font, character) for character in set(text) if not character.isspace())


@functools.lru_cache(maxsize=4096)
def _has_character(font: ImageFont.FreeTypeFont, character: str) -> bool:
    return bytes(font.getmask(character)) != bytes(font.getmask(_UNKNOWN_CHARACTER))
