"""What one annotation says about one image, whatever file format it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from reefline.structures.boxes import BoxXyxyPx


class AnnotatedObject(NamedTuple):
    """One labelled box; its coordinates are as annotated and may be NaN or lie outside the image."""

    label: str
    box_xyxy_px: BoxXyxyPx
    difficult: bool = False
    truncated: bool = False
    pose: str = "Unspecified"


@dataclass(frozen=True)
class Annotation:
    """One annotated image; sizes are None where the file does not say, 0 where it says nonsense."""

    filename: str
    width_px: int | None
    height_px: int | None
    objects: tuple[AnnotatedObject, ...] = ()
