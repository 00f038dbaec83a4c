from __future__ import annotations

import hashlib
import struct
import zlib

import pytest

from reefline.acquisition.image_content import NotAnImageError, check_image
from tests.factories import encode_image, make_jpeg, make_pixels


@pytest.mark.parametrize(
    ("image_format", "extension"),
    [("JPEG", ".jpg"), ("PNG", ".png"), ("GIF", ".gif"), ("BMP", ".bmp"), ("WEBP", ".webp"), ("TIFF", ".tif")],
)
def test_an_image_is_named_by_its_content(image_format: str, extension: str) -> None:
    content = encode_image(make_pixels(), image_format)
    image = check_image(content)
    assert image.sha256 == hashlib.sha256(content).hexdigest()
    assert image.file_name == f"{image.sha256[:16]}{extension}"
    assert (image.width_px, image.height_px) == (64, 48)


def make_bomb() -> bytes:
    """Return a PNG whose header announces 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1_000_000)))


@pytest.mark.parametrize(
    ("content", "reason", "is_permanent"),
    [
        pytest.param(b"", "the answer is empty", False, id="zero-bytes"),
        pytest.param(b"\n<!DOCTYPE html><p>Not found", "a web page, not an image", True, id="html"),
        pytest.param(b'<?xml version="1.0"?><svg xmlns="a"/>', "an SVG drawing, which has no pixels", True, id="svg"),
        pytest.param(b"GIF89a", "not a readable JPEG, PNG|truncated", None, id="header-only"),
        pytest.param(b"plain text", "not a readable JPEG, PNG", True, id="text"),
        pytest.param(make_jpeg()[:-300], "the image is truncated", False, id="cut"),
        pytest.param(make_bomb(), "more than 100 million pixels", True, id="bomb"),
    ],
)
def test_what_is_no_image_is_refused(content: bytes, reason: str, is_permanent: bool | None) -> None:
    with pytest.raises(NotAnImageError, match=reason) as raised:
        check_image(content)
    assert is_permanent is None or raised.value.is_permanent is is_permanent
