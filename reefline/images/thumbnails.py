"""Thumbnails for the review page: small JPEGs in one uncompressed zip, by the name of the image they show."""

from __future__ import annotations

import io
import os
import urllib.parse
import zipfile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from PIL import Image

from reefline.images.sizes import shrunk_size_px

if TYPE_CHECKING:
    from typing_extensions import Self

MAX_SIDE_PX = 320
_QUALITY = 70


def make_thumbnail(image: Image.Image) -> bytes:
    """Return an RGB JPEG of at most MAX_SIDE_PX per side; smaller images keep their size. The image is not changed."""
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    # Averaging blocks of pixels first takes a third of the time.
    small = rgb.resize(shrunk_size_px(rgb.size, MAX_SIDE_PX), Image.Resampling.BILINEAR, reducing_gap=1.0)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


class ThumbnailWriter:
    """Writes thumbnails one by one; use it as a context manager."""

    def __init__(self, path: Path) -> None:
        """Write to a new file."""
        self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_STORED)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._zip.close()

    def add(self, name: str, image: Image.Image) -> None:
        """Add the thumbnail of an image; a name must not be added twice."""
        self._zip.writestr(zipfile.ZipInfo(_entry(name)), make_thumbnail(image))


def read_thumbnails(path: Path, names: set[str]) -> dict[str, bytes]:
    """Return the JPEGs of the names that the file has; a missing file has none."""
    if not path.is_file():
        return {}
    with zipfile.ZipFile(path) as archive:
        entries = set(archive.namelist())
        return {name: archive.read(_entry(name)) for name in names if _entry(name) in entries}


def _entry(name: str) -> str:
    """Return a name for an entry: a zip has no names that are not UTF-8, and a file system may."""
    return urllib.parse.quote(os.fsencode(name))
