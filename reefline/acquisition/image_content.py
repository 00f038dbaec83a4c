"""Whether downloaded bytes are an image, and what to call it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from reefline.images.codec import ImageProblemError, inspect_image

MAX_IMAGE_PIXELS = 100_000_000
_HASH_DIGITS = 16
_SIGNATURES = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"II*\x00", ".tif"),
    (b"MM\x00*", ".tif"),
    (b"II+\x00", ".tif"),
    (b"MM\x00+", ".tif"),
)
_RIFF, _WEBP = b"RIFF", slice(8, 12)
_WEB_PAGE_STARTS = (b"<!doctype html", b"<html", b"<head")
_SNIFFED_BYTES = 1024


class NotAnImageError(Exception):
    """Bytes that are no usable image; the message is the reason. A truncated image may be complete the next time."""

    def __init__(self, reason: str, *, is_permanent: bool = True) -> None:
        super().__init__(reason)
        self.is_permanent = is_permanent


@dataclass(frozen=True)
class CheckedImage:
    """An image: the sha256 of its bytes, its size as stored, and the name of its file."""

    content: bytes
    sha256: str
    width_px: int
    height_px: int
    file_name: str


def check_image(content: bytes) -> CheckedImage:
    """Decode downloaded bytes, after reading from the header that they are not too large to decode.

    Raises:
        NotAnImageError: they are no image of a known format, are damaged, or have too many pixels.
    """
    if not content:
        raise NotAnImageError("the answer is empty", is_permanent=False)
    try:
        facts = inspect_image(content, max_image_pixels=MAX_IMAGE_PIXELS)
    except ImageProblemError as error:
        raise _explain(error, content) from error
    sha256 = hashlib.sha256(content).hexdigest()
    name = f"{sha256[:_HASH_DIGITS]}{_find_extension(content)}"
    return CheckedImage(content, sha256, facts.width_px, facts.height_px, name)


def _find_extension(content: bytes) -> str:
    if content.startswith(_RIFF) and content[_WEBP] == b"WEBP":
        return ".webp"
    return next((extension for signature, extension in _SIGNATURES if content.startswith(signature)), ".jpg")


def _explain(error: ImageProblemError, content: bytes) -> NotAnImageError:
    if error.rule == "image_too_large":
        return NotAnImageError(f"more than {MAX_IMAGE_PIXELS // 1_000_000} million pixels")
    if error.rule == "image_truncated":
        return NotAnImageError("the image is truncated", is_permanent=False)
    return NotAnImageError(_describe_other(content))


def _describe_other(content: bytes) -> str:
    start = content[:_SNIFFED_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(_WEB_PAGE_STARTS):
        return "a web page, not an image"
    if start.startswith(b"<svg") or (start.startswith(b"<?xml") and b"<svg" in start):
        return "an SVG drawing, which has no pixels"
    return "not a readable JPEG, PNG, BMP, WebP, GIF or TIFF image"
