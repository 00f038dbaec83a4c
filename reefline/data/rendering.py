"""An inspected image as the JPEG to train on. Worker processes import this module."""

from __future__ import annotations

import hashlib
from pathlib import Path

from reefline.data.image_record import ImageRecord
from reefline.errors import DataError
from reefline.images.codec import transcode_to_rgb_jpeg
from reefline.system.files import read_file


def load_jpeg(data_dir: Path, record: ImageRecord) -> bytes:
    """Read an image again and return it as an RGB JPEG: a good one unchanged, anything else transcoded.

    Raises:
        DataError: the image has changed or disappeared since it was inspected.
    """
    try:
        image_bytes = read_file(data_dir, record.image)
    except OSError as error:
        raise DataError(f"{record.image}: can no longer be read ({error.strerror}): run again") from error
    if hashlib.sha256(image_bytes).hexdigest() != record.sha256:
        raise DataError(f"{record.image}: changed since it was inspected: run again")
    if record.passes_through:
        return image_bytes
    size_px = (record.width_px, record.height_px)
    return transcode_to_rgb_jpeg(image_bytes, apply_exif=record.apply_exif, size_px=size_px)
