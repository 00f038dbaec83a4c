"""A label file in the form that a program reads back as the same names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from reefline.deployment.programs import LabelReading
from reefline.errors import BundleError
from reefline.tflite.labels import format_labels


def format_labels_for(reading: LabelReading, labels: Sequence[str], title: str) -> str:
    """Return the text of a label file: one name per line, or "index name" where the program would misread that.

    `title` is the program's name for messages.

    Raises:
        BundleError: the program would read other names in both forms.
    """
    plain = format_labels(labels)
    indexed = format_labels(f"{index} {label}" for index, label in enumerate(labels))
    # pycoral's releases differ in what they read of a plain line with spaces.
    forms = (indexed,) if reading is LabelReading.BY_EACH_LINE else (plain, indexed)
    for text in forms:
        if read_labels_as(reading, text) == dict(enumerate(labels)):
            return text
    read = read_labels_as(reading, forms[-1]) or {}
    misread = [f"{label!r} as {read.get(index)!r}" for index, label in enumerate(labels) if read.get(index) != label]
    raise BundleError(f"class names: {title} would read {', '.join(misread)}; rename them in the data and train again")


def read_labels_as(reading: LabelReading, text: str) -> dict[int, str] | None:
    """Return the names by class that a program reads from a label file, None if it fails to read it."""
    # As Python reads lines from a file: \r ends one as well.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
    try:
        if reading is LabelReading.BY_EACH_LINE:
            return dict(_read_line(number, line) for number, line in enumerate(lines))
        if " " in lines[0] and lines[0].split(" ")[0].isdigit():
            pairs = [line.split(" ", maxsplit=1) for line in lines]
            return {int(index): name.strip() for index, name in pairs}
    except ValueError:
        return None
    return {number: line.strip() for number, line in enumerate(lines)}


def _read_line(number: int, line: str) -> tuple[int, str]:
    index, *name = re.split(r"[:\s]+", line.strip(), maxsplit=1)
    return (int(index), name[0].strip()) if name and index.isdigit() else (number, line.strip())
