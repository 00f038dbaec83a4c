"""Thumbnails for the review page: small JPEGs in one uncompressed zip, by the name of the image they show."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from typing_extensions import Self

MAX_SIDE_PX = 320
_QUALITY = 70


def make_thumbnail(image: Image.Image) -> bytes:
    """Return an RGB JPEG of at most MAX_SIDE_PX per side; smaller images keep their size. The image is not changed."""
    small = image.convert("RGB") if image.mode != "RGB" else image.copy()
    small.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Image.Resampling.BILINEAR, reducing_gap=2.0)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
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
        self._zip.writestr(zipfile.ZipInfo(name), make_thumbnail(image))


def read_thumbnails(path: Path, names: set[str]) -> dict[str, bytes]:
    """Return the JPEGs of the names that the file has; a missing file has none."""
    if not path.is_file():
        return {}
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name in names}
