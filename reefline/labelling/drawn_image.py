"""Images as their boxes were drawn."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from reefline.images.codec import decode_small
from reefline.settings import IngestionSettings


def decode_as_drawn(path: Path, *, apply_exif: bool) -> Image.Image:
    """Return an image in full size as RGB, upright if its boxes were drawn on the upright image.

    Raises:
        OSError: the file cannot be read.
        ImageProblemError: it cannot be decoded.
    """
    limit = IngestionSettings().max_image_pixels
    return decode_small(path.read_bytes(), apply_exif=apply_exif, max_image_pixels=limit, side_px=sys.maxsize)[0]
