"""A data set as annotation formats exchange it: class names in order, and images with their boxes."""

from __future__ import annotations

from dataclasses import dataclass

from reefline.structures.annotation import Annotation


@dataclass(frozen=True)
class LabelledImage:
    """An image of a format; `annotation.filename` is the name or path by which the format knows it.

    `split` is one of SPLITS, or empty where the format names none. `annotated` is False where the format lists the
    image without saying that it was annotated: no boxes then does not mean that it shows nothing.
    """

    annotation: Annotation
    split: str = ""
    annotated: bool = True


@dataclass(frozen=True)
class LabelledSet:
    """Images, the class names in the order of their ids, and one line for each thing that could not be read."""

    names: tuple[str, ...]
    images: tuple[LabelledImage, ...]
    problems: tuple[str, ...] = ()


def merge_names(*groups: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of all groups, each once, in the order of their first appearance."""
    return tuple(dict.fromkeys(name for group in groups for name in group))
