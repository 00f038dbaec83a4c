from __future__ import annotations

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from reefline.images.codec import (
    ImageProblemError,
    decode_small,
    decode_upright,
    inspect_image,
    transcode_to_rgb_jpeg,
)
from reefline.images.sizes import shrunk_size_px
from tests.factories import encode_image, make_jpeg, make_pixels

LIMIT = 10**8


def _png_header(width_px: int, height_px: int) -> bytes:
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


def _decode(jpeg_bytes: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(jpeg_bytes))
    assert image.format == "JPEG"
    return image


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_a_good_jpeg_is_recognised(options: dict[str, bool]) -> None:
    buffer = io.BytesIO()
    Image.fromarray(make_pixels(width_px=400, height_px=300)).save(buffer, "JPEG", **options)
    facts = inspect_image(buffer.getvalue(), max_image_pixels=LIMIT)
    assert (facts.width_px, facts.height_px, facts.is_rgb_jpeg, facts.is_animated) == (400, 300, True, False)
    assert facts.exif_orientation == 1


@pytest.mark.parametrize(
    ("image_format", "mode"),
    [
        ("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "P"), ("PNG", "1"), ("PNG", "LA"),
        ("BMP", "RGB"), ("WEBP", "RGB"), ("WEBP", "RGBA"), ("GIF", "P"), ("TIFF", "RGB"), ("TIFF", "CMYK"),
        ("TIFF", "F"),
    ],
)  # fmt: skip
def test_every_kind_becomes_an_rgb_jpeg_of_the_same_picture(image_format: str, mode: str) -> None:
    pixels = make_pixels()
    content = encode_image(pixels, image_format, mode=mode)
    facts = inspect_image(content, max_image_pixels=LIMIT)
    assert not facts.is_rgb_jpeg
    image = _decode(transcode_to_rgb_jpeg(content, apply_exif=False, size_px=(64, 48)))
    assert (image.mode, image.size) == ("RGB", (64, 48))
    if mode not in ("1", "P"):
        expected = Image.fromarray(pixels).convert("L" if mode in ("L", "LA", "F") else "RGB").convert("RGB")
        assert np.abs(np.asarray(image, dtype=int) - np.asarray(expected, dtype=int)).mean() < 8


def test_16_bits_are_scaled_rather_than_clipped() -> None:
    ramp = np.linspace(0, 65_535, 64 * 48).reshape(48, 64)
    buffer = io.BytesIO()
    Image.fromarray(ramp.astype(np.uint16)).save(buffer, "PNG")
    image = _decode(transcode_to_rgb_jpeg(buffer.getvalue(), apply_exif=False, size_px=(64, 48)))
    assert np.abs(np.asarray(image, dtype=float)[:, :, 0] - ramp / 257).mean() < 3


def test_transparency_becomes_white() -> None:
    buffer = io.BytesIO()
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(buffer, "PNG")
    image = _decode(transcode_to_rgb_jpeg(buffer.getvalue(), apply_exif=False, size_px=(8, 8)))
    assert image.getpixel((4, 4)) == (255, 255, 255)


@pytest.mark.parametrize(
    "mode",
    ["RGB", "L", "P", "1"],
)
def test_a_transparent_colour_becomes_white(mode: str) -> None:
    buffer = io.BytesIO()
    image = Image.new("RGB", (8, 8), (99, 0, 0)).convert(mode)
    image.save(buffer, "PNG", transparency=image.getpixel((4, 4)))
    image = _decode(transcode_to_rgb_jpeg(buffer.getvalue(), apply_exif=False, size_px=(8, 8)))
    assert image.getpixel((4, 4)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("image_format", "values", "problem"),
    [
        pytest.param("PNG", np.linspace(0, 4095, 3072).astype(np.uint16), "no value above 4095", id="12-bit-png"),
        pytest.param("PNG", np.linspace(0, 65_535, 3072).astype(np.uint16), None, id="16-bit-png"),
        pytest.param("TIFF", np.linspace(0, 1, 3072).astype(np.float32), None, id="float-to-1"),
        pytest.param("TIFF", np.linspace(0, 255, 3072).astype(np.float32), None, id="float-to-255"),
        pytest.param("TIFF", np.linspace(0, 4000, 3072).astype(np.float32), "no value above 4095", id="float-to-4000"),
        pytest.param("TIFF", np.linspace(0, 1e6, 3072).astype(np.float32), "no value above 1e+06", id="float-to-1e6"),
    ],
)
def test_deep_pixels_use_all_of_the_8_bits(image_format: str, values: np.ndarray, problem: str | None) -> None:
    buffer = io.BytesIO()
    Image.fromarray(values.reshape(48, 64)).save(buffer, image_format)
    found = inspect_image(buffer.getvalue(), max_image_pixels=LIMIT).range_problem
    assert (found is None) if problem is None else (found is not None and problem in found)
    image = _decode(transcode_to_rgb_jpeg(buffer.getvalue(), apply_exif=False, size_px=(64, 48)))
    expected = np.linspace(0, 255, 3072).reshape(48, 64)
    assert np.abs(np.asarray(image, dtype=float)[:, :, 0] - expected).mean() < 4


def test_a_black_image_is_doubtful() -> None:
    facts = inspect_image(encode_image(np.full((48, 64, 3), 9, dtype=np.uint8), "PNG"), max_image_pixels=LIMIT)
    assert facts.range_problem is not None and "no pixel is brighter than 9" in facts.range_problem


def test_large_deep_images_take_little_memory() -> None:
    side_px = 3000
    buffer = io.BytesIO()
    Image.fromarray(np.full((side_px, side_px), 60_000, dtype=np.uint16)).save(buffer, "PNG", compress_level=1)
    tracemalloc.start()
    try:
        inspect_image(buffer.getvalue(), max_image_pixels=LIMIT)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # One byte per pixel, and a block of floats; Pillow's own memory is not traced.
    assert peak < 4 * side_px**2


@pytest.mark.parametrize("image_format", ["TIFF", "JPEG", "PNG"])
def test_sizes_are_as_stored_in_every_format(image_format: str) -> None:
    facts = inspect_image(encode_image(make_pixels(), image_format, orientation=6), max_image_pixels=LIMIT)
    assert (facts.width_px, facts.height_px, facts.upright_size_px) == (64, 48, (48, 64))


def test_an_orientation_is_read_and_applied() -> None:
    pixels = np.zeros((40, 60, 3), dtype=np.uint8)
    pixels[:, :30] = 255
    content = encode_image(pixels, orientation=6)
    facts = inspect_image(content, max_image_pixels=LIMIT)
    assert (facts.exif_orientation, facts.upright_size_px) == (6, (40, 60))
    upright = _decode(transcode_to_rgb_jpeg(content, apply_exif=True, size_px=(40, 60)))
    assert upright.size == (40, 60)
    assert upright.getpixel((20, 5))[0] > 200 > 50 > upright.getpixel((20, 55))[0]
    assert upright.getexif().get(0x0112, 1) == 1


def test_an_animation_is_reported_and_its_first_frame_used() -> None:
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    assert inspect_image(buffer.getvalue(), max_image_pixels=LIMIT).is_animated
    image = _decode(transcode_to_rgb_jpeg(buffer.getvalue(), apply_exif=False, size_px=(9, 9)))
    assert image.getpixel((4, 4))[0] > 200


@pytest.mark.parametrize("size_px", [(1, 300), (300, 1), (4000, 2)], ids=["1-wide", "1-high", "very-wide"])
def test_thin_images_are_images(size_px: tuple[int, int]) -> None:
    content = make_jpeg(width_px=size_px[0], height_px=size_px[1])
    facts = inspect_image(content, max_image_pixels=LIMIT)
    assert (facts.width_px, facts.height_px) == size_px


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("image_format", ["JPEG", "TIFF", "BMP"])
def test_a_truncated_image_is_reported(image_format: str, kept: float) -> None:
    content = encode_image(make_pixels(width_px=300, height_px=200), image_format)
    with pytest.raises(ImageProblemError, match="the image is truncated") as caught:
        inspect_image(content[: int(len(content) * kept)], max_image_pixels=LIMIT)
    assert caught.value.rule == "image_truncated"


@pytest.mark.parametrize(
    ("content", "rule", "message"),
    [
        pytest.param(b"", "image_unreadable", "the file is empty", id="empty"),
        pytest.param(b"hello, I am text", "image_unreadable", "not a readable JPEG, PNG", id="text"),
        pytest.param(b"%PDF-1.4 " * 50, "image_unreadable", "not a readable JPEG, PNG", id="pdf"),
        pytest.param(
            _png_header(30_000, 30_000), "image_too_large", "30000 x 30000 px exceed data.max_image_pixels", id="bomb"
        ),
        pytest.param(_png_header(100, 100), "image_unreadable", "not a readable", id="header-alone"),
    ],
)
def test_an_unusable_image_is_reported(content: bytes, rule: str, message: str) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    with pytest.raises(ImageProblemError, match=message) as caught:
        inspect_image(content, max_image_pixels=LIMIT)
    assert caught.value.rule == rule
    assert limit == Image.MAX_IMAGE_PIXELS


def test_the_limit_comes_from_the_config() -> None:
    assert inspect_image(make_jpeg(), max_image_pixels=64 * 48).width_px == 64
    with pytest.raises(ImageProblemError, match=r"64 x 48 px exceed data\.max_image_pixels \(3071\)"):
        inspect_image(make_jpeg(), max_image_pixels=64 * 48 - 1)


@pytest.mark.parametrize(
    ("size_px", "limit", "expected"),
    [
        pytest.param((100, 50), None, (100, 50), id="no-limit"),
        pytest.param((100, 50), 100, (100, 50), id="fits"),
        pytest.param((100, 50), 40, (40, 20), id="wide"),
        pytest.param((50, 100), 40, (20, 40), id="high"),
        pytest.param((1000, 1), 10, (10, 1), id="thin"),
    ],
)
def test_shrinking_keeps_the_aspect(size_px: tuple[int, int], limit: int | None, expected: tuple[int, int]) -> None:
    assert shrunk_size_px(size_px, limit) == expected


def test_transcoding_resizes() -> None:
    image = _decode(transcode_to_rgb_jpeg(make_jpeg(), apply_exif=False, size_px=(32, 24)))
    assert image.size == (32, 24)


def test_decoding_applies_the_orientation_and_makes_rgb() -> None:
    pixels = make_pixels(3)
    upright = np.asarray(decode_upright(encode_image(pixels[::-1, ::-1], "PNG", orientation=3)))
    assert (upright == pixels).all()
    assert decode_upright(encode_image(pixels, "PNG", mode="LA")).mode == "RGB"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "the file is empty", id="empty"),
        pytest.param(b"GIF of a cat", "not a readable JPEG", id="no-image"),
        pytest.param(make_jpeg()[:400], "is truncated", id="truncated"),
    ],
)
def test_decoding_errors_are_described(content: bytes, message: str) -> None:
    with pytest.raises(ImageProblemError, match=message):
        decode_upright(content)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    ("apply_exif", "size_px"), [pytest.param(True, (30, 80), id="upright"), pytest.param(False, (80, 30), id="stored")]
)
def test_a_small_decoding_has_the_full_size_and_the_orientation(
    image_format: str, apply_exif: bool, size_px: tuple[int, int]
) -> None:
    pixels = make_pixels(width_px=80, height_px=30)
    content = encode_image(pixels, image_format, orientation=6)
    image, found_px = decode_small(content, apply_exif=apply_exif, max_image_pixels=2400, side_px=10)
    assert found_px == size_px
    assert (image.width > image.height) == (size_px[0] > size_px[1])
    assert image.mode == "RGB"


def test_a_small_decoding_of_a_jpeg_is_scaled() -> None:
    content = make_jpeg(width_px=800, height_px=640)
    image, size_px = decode_small(content, apply_exif=True, max_image_pixels=10**6, side_px=100)
    assert size_px == (800, 640)
    assert image.size == (200, 160)


def test_a_small_decoding_keeps_the_limit() -> None:
    with pytest.raises(ImageProblemError, match=r"exceed data\.max_image_pixels"):
        decode_small(make_jpeg(), apply_exif=True, max_image_pixels=5, side_px=100)
