"""JPEGs that decode with nothing but a warning, which Pillow does not pass on."""

from __future__ import annotations

import io
import itertools
import re

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from reefline.images.codec import ImageProblemError, inspect_image
from reefline.images.jpeg_damage import decode_draft
from tests.factories import make_pixels

LIMIT = 10**8


def _jpeg(
    pixels: np.ndarray | None = None, *, mode: str = "RGB", image_format: str = "JPEG", **options: object
) -> bytes:
    pixels = make_pixels(width_px=320, height_px=240) if pixels is None else pixels
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, image_format, **options)
    return buffer.getvalue()


def _scan_start(content: bytes) -> int:
    """Return where the data of the first scan start: Pillow writes nothing between the header's end and them."""
    header = content.index(b"\xff\xda")
    return header + 2 + int.from_bytes(content[header + 2 : header + 4], "big")


def _replace(content: bytes, position: float, replacement: bytes) -> bytes:
    """Overwrite bytes of the scan; `position` is 0..1."""
    start = _scan_start(content)
    at = start + int(position * (len(content) - 2 - start))
    return content[:at] + replacement + content[at + len(replacement) :]


GOOD = _jpeg()
NOISE = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
SMOOTH = np.asarray(Image.fromarray(make_pixels()).resize((1280, 960), Image.Resampling.BICUBIC))
HALF = GOOD[: len(GOOD) // 2]
RESTARTS = _jpeg(restart_marker_rows=1)
PROGRESSIVE = _jpeg(progressive=True)
ONE_SCAN = PROGRESSIVE[: _scan_start(PROGRESSIVE) + 200] + b"\xff\xd9"
SCANS = [found.start() for found in re.finditer(b"\xff\xda", PROGRESSIVE)]


@pytest.mark.parametrize(
    ("content", "rule", "message"),
    [
        pytest.param(_replace(GOOD, 0.5, b"\xff\x02"), "image_unreadable", "a marker FF 02 inside", id="marker"),
        pytest.param(_replace(GOOD, 0.5, b"\xff\xc4"), "image_unreadable", "a marker FF C4 inside", id="tables"),
        pytest.param(_replace(GOOD, 0.5, b"\xff\xd0"), "image_unreadable", "unexpected restart marker", id="restart"),
        pytest.param(RESTARTS.replace(b"\xff\xd2", b"\xff\xd3"), "image_unreadable", "FF D3", id="restart-order"),
        pytest.param(ONE_SCAN, "image_unreadable", "only the first of several scans", id="scan"),
        pytest.param(_replace(PROGRESSIVE, 0.97, b"\xff\x02"), "image_unreadable", "FF 02", id="progressive-marker"),
        pytest.param(HALF + b"\xff\xd9", "image_truncated", "end before its last row", id="half"),
        pytest.param(HALF + bytes(len(HALF)) + b"\xff\xd9", "image_truncated", "end before", id="half-zeros"),
        pytest.param(_replace(_jpeg(NOISE), 0.3, bytes(4096)), "image_truncated", "last row comes before", id="hole"),
        pytest.param(_replace(_jpeg(SMOOTH), 0.3, bytes(4096)), "image_truncated", "end before", id="hole-in-smooth"),
        pytest.param(_jpeg(mode="L")[:-900] + b"\xff\xd9", "image_truncated", "end before", id="half-grey"),
        pytest.param(_replace(RESTARTS, 0.5, bytes(64)), "image_unreadable", "premature end", id="hole-in-restarts"),
        pytest.param(_replace(PROGRESSIVE, 0.9, bytes(64)), "image_unreadable", "bad Huffman", id="hole-in-scan"),
    ],
)  # fmt: skip
def test_damage_is_found(content: bytes, rule: str, message: str) -> None:
    with pytest.raises(ImageProblemError, match=message) as caught:
        inspect_image(content, max_image_pixels=LIMIT)
    assert caught.value.rule == rule


@pytest.mark.parametrize(
    ("content", "marker", "hole_at"),
    [pytest.param(RESTARTS, b"\xff\xd0", 0.5, id="restarts"), pytest.param(PROGRESSIVE, b"\xff\xc4", 0.9, id="scans")],
)
def test_damage_after_stray_bytes_may_pass(content: bytes, marker: bytes, hole_at: float) -> None:
    """A limit that docs/data.md names: libjpeg's first warning, here about stray bytes, hides the others."""
    at = content.index(marker, _scan_start(content))
    stray = content[:at] + b"\x55" * 8 + content[at:]
    damaged = _replace(stray, hole_at, bytes(64))
    with pytest.raises(ImageProblemError, match="image is damaged"):
        inspect_image(_replace(content, hole_at, bytes(64)), max_image_pixels=LIMIT)
    inspect_image(damaged, max_image_pixels=LIMIT)
    assert tf.io.decode_jpeg(damaged, channels=3).shape == (240, 320, 3)


@pytest.mark.parametrize("end", [b"", bytes(2), bytes(40)], ids=["cut", "zeros", "more-zeros"])
def test_a_jpeg_needs_its_end_marker(end: bytes) -> None:
    """Pillow has all rows of a small image before it misses the marker; TensorFlow refuses the image."""
    content = _jpeg(make_pixels())[:-2] + end
    with pytest.raises(tf.errors.InvalidArgumentError, match="Invalid JPEG data"):
        tf.io.decode_jpeg(content, channels=3)
    with pytest.raises(ImageProblemError, match=r"truncated|no end marker") as caught:
        inspect_image(content, max_image_pixels=LIMIT)
    assert caught.value.rule == "image_truncated"


@pytest.mark.parametrize("scans", range(1, len(SCANS)))
def test_a_progressive_jpeg_needs_all_its_scans(scans: int) -> None:
    cut = PROGRESSIVE[: SCANS[scans]] + b"\xff\xd9"
    assert tf.io.decode_jpeg(cut, channels=3).shape == (240, 320, 3)
    with pytest.raises(ImageProblemError, match=r"only the first .*scans exist"):
        inspect_image(cut, max_image_pixels=LIMIT)
    inspect_image(PROGRESSIVE, max_image_pixels=LIMIT)


@pytest.mark.parametrize("colour", [0, 255, None], ids=["black", "white", "black-below"])
@pytest.mark.parametrize("size_px", [(1, 1), (9, 17), (33, 31), (64, 48), (1, 300), (300, 1)], ids=str)
def test_good_files_of_every_kind_pass(size_px: tuple[int, int], colour: int | None) -> None:
    pixels = np.full((size_px[1], size_px[0], 3), colour or 0, dtype=np.uint8)
    if colour is None:
        pixels[: len(pixels) // 2] = NOISE[: len(pixels) // 2, : size_px[0]]
    forms = [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 1}, {"optimize": True}, {"quality": 5}]
    forms += [{"restart_marker_rows": 1}, {"restart_marker_blocks": 3}]
    forms += [{"restart_marker_blocks": 3, "progressive": True}]
    contents = [_jpeg(pixels, mode=mode, **form) for mode, form in itertools.product(("RGB", "L", "CMYK"), forms)]
    for factor in ("411", "440", "422", "420"):
        factors = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{factor}")]
        contents.append(cv2.imencode(".jpg", pixels, [*factors, cv2.IMWRITE_JPEG_RST_INTERVAL, 2])[1].tobytes())
    contents.append(_jpeg(pixels, image_format="MPO", save_all=True, append_images=[Image.fromarray(pixels)]))
    for content in contents:
        for whole in (content, content + b"more \xff\xd8 after the end"):
            facts = inspect_image(whole, max_image_pixels=LIMIT)
            assert (facts.width_px, facts.height_px) == size_px


@pytest.mark.parametrize("value", [b"\0", b"\x55"])
def test_padding_before_the_end_is_no_damage(value: bytes) -> None:
    inspect_image(GOOD[:-2] + value * 200 + GOOD[-2:], max_image_pixels=LIMIT)


@pytest.mark.parametrize("form", [{}, {"progressive": True}, {"subsampling": 0}, {"mode": "L"}], ids=str)
@pytest.mark.parametrize("size_px", [(320, 240), (33, 31), (300, 8)], ids=str)
def test_the_draft_is_the_same_as_pillows(size_px: tuple[int, int], form: dict[str, object]) -> None:
    from reefline.images.perceptual_hash import compute_perceptual_hash

    content = _jpeg(make_pixels(width_px=size_px[0], height_px=size_px[1]), **form)
    image = Image.open(io.BytesIO(content))
    image.draft("L", (max(1, size_px[0] // 8), max(1, size_px[1] // 8)))
    assert decode_draft(content).tolist() == np.asarray(image).tolist()
    assert inspect_image(content, max_image_pixels=LIMIT).perceptual_hash == compute_perceptual_hash(image)


@pytest.mark.parametrize(
    "form", [{}, {"progressive": True}, {"restart_marker_rows": 1}], ids=["", "progressive", "rst"]
)
def test_what_is_accepted_decodes_in_tensorflow(form: dict[str, object]) -> None:
    good = _jpeg(make_pixels(width_px=160, height_px=120), **form)
    random = np.random.default_rng(0)
    accepted = 0
    for number in range(300):
        damaged = bytearray(good)
        # Stray markers are what TensorFlow refuses and a decoder at an eighth of the size may not reach.
        damaged[random.integers(_scan_start(good), len(good) - 2)] = 0xFF if number % 3 else random.integers(256)
        try:
            facts = inspect_image(bytes(damaged), max_image_pixels=LIMIT)
        except ImageProblemError:
            continue
        accepted += 1
        assert tf.io.decode_jpeg(bytes(damaged), channels=3).shape == (facts.height_px, facts.width_px, 3)
    assert accepted > 10
