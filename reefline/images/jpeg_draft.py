"""JPEGs decoded at an eighth of their size, and checked for damage."""

from __future__ import annotations

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from reefline.images.jpeg_damage import (
    DRAFT_DIVISOR,
    FirstScan,
    decode_draft,
    describe_warning,
    find_first_scan,
    find_marker_damage,
    load_checking_data,
)
from reefline.images.problem import ImageProblemError

# What libjpeg turns into grey; Pillow converts the colours of others itself.
_DRAFT_MODES = frozenset({"RGB", "L"})


def load_jpeg_draft(image: JpegImageFile, image_bytes: bytes) -> Image.Image:
    """Return a JPEG decoded at an eighth of its size, in grey, which is all that the perceptual hash needs.

    Raises:
        ImageProblemError: the JPEG is damaged where a decoder only warns.
    """
    scan = find_first_scan(image_bytes, image)
    damage = None if scan is None else find_marker_damage(image_bytes, scan)
    if damage is not None:
        raise _report_damage(damage)
    if scan is None:
        # A small image may have all its rows, and TensorFlow refuses it still.
        _set_draft(image).load()
        raise _report_incomplete("it has no end marker")
    # Pillow scales an image with a side below the divisor by less, and hashes from earlier runs should stay.
    if image.mode not in _DRAFT_MODES or min(image.size) < DRAFT_DIVISOR:
        _check_data(image, image_bytes, scan)
        return image
    try:
        draft = decode_draft(image_bytes)
        # Image.fromarray takes three times as long, for every ingested image.
        height_px, width_px = draft.shape
        return Image.frombuffer("L", (width_px, height_px), draft, "raw", "L", 0, 1)
    except ValueError as warning:
        _check_data(image, image_bytes, scan)
        # libjpeg stops at its first warning: if that one is harmless, what it would warn about later is not known.
        damage = describe_warning(warning)
        if damage is not None:
            raise _report_damage(damage) from warning
        return image


def _check_data(image: JpegImageFile, image_bytes: bytes, scan: FirstScan) -> None:
    problem = load_checking_data(_set_draft(image), image_bytes, scan)
    if problem is not None:
        raise _report_incomplete(problem)


def _set_draft(image: JpegImageFile) -> JpegImageFile:
    image.draft("L", (max(1, image.width // DRAFT_DIVISOR), max(1, image.height // DRAFT_DIVISOR)))
    return image


def _report_damage(damage: str) -> ImageProblemError:
    return ImageProblemError("image_unreadable", f"the image is damaged ({damage}): copy or export it again")


def _report_incomplete(problem: str) -> ImageProblemError:
    return ImageProblemError("image_truncated", f"the image is incomplete ({problem}): copy or export it again")
