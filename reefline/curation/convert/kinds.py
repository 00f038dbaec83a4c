"""The annotation formats that `reefline convert` reads and writes."""

from __future__ import annotations

import enum

from reefline.data.image_record import SPLIT_WORDS


class DataFormat(enum.Enum):
    """A format by the name that the command line uses."""

    VOC = "voc"
    COCO = "coco"
    YOLO = "yolo"
    CVAT = "cvat"
    LABEL_STUDIO = "label-studio"


def find_split(words: tuple[str, ...]) -> str:
    """Return the split that a path's folders or a file's name contain as a word; "" where none does."""
    return next((SPLIT_WORDS[word] for word in map(str.casefold, words) if word in SPLIT_WORDS), "")
