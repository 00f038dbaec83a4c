"""The annotation of one image, independent of file formats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from reefline.structures.boxes import BoxXyxyPx


class AnnotatedObject(NamedTuple):
    """One labelled box; its coordinates are as annotated and may be NaN or lie outside the image.

    `score`, 0 to 1, is the confidence of the model that drew the box; None if a person did.
    """

    label: str
    box_xyxy_px: BoxXyxyPx
    difficult: bool = False
    truncated: bool = False
    pose: str = "Unspecified"
    score: float | None = None


@dataclass(frozen=True)
class Annotation:
    """One annotated image; a size is None where the file has none, 0 where it is invalid.

    `verified` is LabelImg's mark of an annotation that a person has checked; None where the file has no such mark.
    """

    filename: str
    width_px: int | None
    height_px: int | None
    objects: tuple[AnnotatedObject, ...] = ()
    verified: bool | None = None
