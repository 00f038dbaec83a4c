"""A page of pictures with boxes, in groups: what commands on data sets show besides a run's review page."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from reefline.report.page import assemble_plain
from reefline.report.section import as_data_uri, render
from reefline.structures.boxes import BoxXyxyPx


class BoxStyle(enum.Enum):
    """How a box is drawn; the values are classes of page.css."""

    TRUTH = "truth"
    FOUND = "found"
    WRONG = "wrong"


@dataclass(frozen=True)
class GalleryBox:
    """A box to draw, in pixels of the image; `title` is shown when pointed at."""

    box_xyxy_px: BoxXyxyPx
    style: BoxStyle
    title: str


@dataclass(frozen=True)
class GalleryPicture:
    """A picture: a JPEG (`images.thumbnails.make_thumbnail`) of an image of `size_px`, and lines below it."""

    name: str
    jpeg: bytes
    size_px: tuple[int, int]
    lines: tuple[str, ...] = ()
    boxes: tuple[GalleryBox, ...] = ()

    @property
    def uri(self) -> str:
        """The JPEG as a data URI."""
        return as_data_uri(self.jpeg)


@dataclass(frozen=True)
class GalleryGroup:
    """Pictures under a heading; `note` is a sentence below it, and `left_out` how many more there are."""

    heading: str
    pictures: tuple[GalleryPicture, ...]
    note: str = ""
    left_out: int = 0


@dataclass(frozen=True)
class GalleryTable:
    """A table of numbers above the pictures: the first column names each row, the others are right-aligned."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def make_gallery_page(
    title: str, intro: str, groups: Sequence[GalleryGroup], *, tables: Sequence[GalleryTable] = ()
) -> str:
    """Return the page as one HTML file that loads nothing; `intro` is a sentence or two."""
    used = {box.style for group in groups for picture in group.pictures for box in picture.boxes}
    legend = [(style, text) for style, text in _LEGEND if style in used]
    return assemble_plain(title, render("gallery.html", intro=intro, groups=groups, tables=tables, legend=legend))


_LEGEND = (
    (BoxStyle.TRUTH, "annotated"),
    (BoxStyle.FOUND, "found by the model"),
    (BoxStyle.WRONG, "the model disagrees"),
)
