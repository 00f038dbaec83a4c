"""YOLO's text files: one per image, one line per box, as Ultralytics documents them.

A line is `class x_center y_center width height` with a 0-based class and fractions of the image's size. A line with
more numbers is a polygon, whose bounding box counts. The format has no flags and no scores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from reefline.structures.annotation import AnnotatedObject, Annotation
from reefline.structures.boxes import BoxXyxyPx


def parse_yolo(
    text: str, names: Sequence[str], size_px: tuple[int, int], source: str
) -> tuple[tuple[AnnotatedObject, ...], list[str]]:
    """Return the boxes of one file, in pixels of an image of `size_px`, and a line for each that cannot be read."""
    objects, problems = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        item = _parse_line(line.split(), names, size_px)
        if isinstance(item, str):
            problems.append(f"{source}:{number}: {item}; the line is left out")
        else:
            objects.append(item)
    return tuple(objects), problems


def format_yolo(annotation: Annotation, names: Sequence[str]) -> str:
    """Return the text for an image with a known size; `parse_yolo` reads the boxes back to a part in 10⁶.

    Raises:
        ValueError: a label is not among `names`.
    """
    width, height = annotation.width_px or 1, annotation.height_px or 1
    lines = []
    for item in annotation.objects:
        box = item.box_xyxy_px
        numbers = (
            (box.x_min + box.x_max) / 2 / width,
            (box.y_min + box.y_max) / 2 / height,
            box.width_px / width,
            box.height_px / height,
        )
        lines.append(f"{names.index(item.label)} {' '.join(f'{number:.12g}' for number in numbers)}\n")
    return "".join(lines)


def _parse_line(words: list[str], names: Sequence[str], size_px: tuple[int, int]) -> AnnotatedObject | str:
    """Return the box of a line, or what is wrong with the line."""
    try:
        class_number, *numbers = (float(word) for word in words)
    except ValueError:
        return "expected numbers only"
    if not all(map(math.isfinite, (class_number, *numbers))):
        return "expected finite numbers"
    if len(numbers) < 4 or (len(numbers) > 5 and len(numbers) % 2):
        return f"expected a class and 4 numbers, found {len(words)}"
    if class_number not in range(len(names)):
        return f"class {class_number:g} is not one of the {len(names)} classes, which count from 0"
    width, height = size_px
    score = numbers.pop() if len(numbers) == 5 else None
    if len(numbers) == 4:
        x, y, w, h = numbers
        corners = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    else:
        corners = (min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2]))
    box = BoxXyxyPx(corners[0] * width, corners[1] * height, corners[2] * width, corners[3] * height)
    is_score = score is not None and 0 <= score <= 1
    return AnnotatedObject(names[int(class_number)], box, score=score if is_score else None)
