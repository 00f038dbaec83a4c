"""Mutated images: refused, or TensorFlow decodes what is ingested to the recorded size."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from reefline.data.inspection import ImageLimits, inspect_candidate
from reefline.data.matching import Candidate
from reefline.data.shards import load_example
from reefline.images.codec import ImageProblemError, decode_small, decode_upright
from reefline.structures.annotation import Annotation
from tests.factories import encode_image, make_object, make_pixels
from tests.fuzz.harness import fuzzed, mutated, within_limits

MAX_PIXELS = 10**8
# Tables, restart markers, comments, Exif, chunk names, tags of TIFF: what parsers branch on.
TOKENS = (
    *(
        bytes([0xFF, marker])
        for marker in (0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xC9, 0xD0, 0xD8, 0xD9, 0xDA, 0xDB, 0xDD, 0xE1, 0xFE)
    ),
    *(
        b"IHDR",
        b"IDAT",
        b"IEND",
        b"tRNS",
        b"acTL",
        b"fcTL",
        b"iCCP",
        b"RIFF",
        b"VP8X",
        b"VP8L",
        b"ANIM",
        b"EXIF",
        b"Exif\0\0",
    ),
    *(b"II*\0", b"MM\0*", b"\x12\x01\x03\0\x01\0\0\0\x06\0", b"GIF89a", b"\x21\xf9\x04", b"BM"),
)


def _save(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def _save_twice(image: Image.Image, image_format: str) -> bytes:
    """Save two pictures in a file, as copies: Pillow keeps the settings of the last encoder in them."""
    return _save(image.copy(), image_format, save_all=True, append_images=[image.transpose(Image.Transpose.ROTATE_180)])


def _make_seeds() -> dict[str, tuple[bytes, ...]]:
    pixels = make_pixels(3)
    image = Image.fromarray(pixels)
    deep = Image.fromarray(pixels[..., 0].astype(np.uint16) << 8)
    return {
        "jpeg": (
            _save(image, "JPEG"),
            _save(image, "JPEG", progressive=True),
            _save(image, "JPEG", restart_marker_blocks=2),
            *(_save(image.convert(mode), "JPEG") for mode in ("L", "CMYK")),
            encode_image(pixels, orientation=6),
            _save_twice(image, "MPO"),
        ),
        "png": (
            *(_save(image.convert(mode), "PNG") for mode in ("RGB", "L", "P", "1", "RGBA", "LA")),
            _save(deep, "PNG"),
            _save(image.convert("P"), "PNG", transparency=0),
            _save_twice(image, "PNG"),
            encode_image(pixels, "PNG", orientation=6),
        ),
        "tiff": (
            *(_save(image.convert(mode), "TIFF") for mode in ("RGB", "L", "1", "RGBA", "CMYK", "F", "I")),
            *(_save(image, "TIFF", compression=name) for name in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg")),
            _save(deep, "TIFF"),
            encode_image(pixels, "TIFF", orientation=6),
            _save_twice(image, "TIFF"),
        ),
        "webp": (
            _save(image, "WEBP"),
            _save(image, "WEBP", lossless=True),
            _save(image.convert("RGBA"), "WEBP"),
            encode_image(pixels, "WEBP", orientation=6),
            _save_twice(image, "WEBP"),
        ),
        "bmp-and-gif": (
            *(_save(image.convert(mode), "BMP") for mode in ("RGB", "L", "P", "1")),
            _save(image.convert("P"), "GIF"),
            _save_twice(image.convert("P"), "GIF"),
        ),
    }


SEEDS = _make_seeds()


@pytest.mark.parametrize("kind", SEEDS)
@fuzzed
@given(choices=st.data())
def test_images(kind: str, tmp_path_factory: pytest.TempPathFactory, choices: st.DataObject) -> None:
    import tensorflow as tf

    content = choices.draw(mutated(SEEDS[kind], TOKENS))
    folder = tmp_path_factory.getbasetemp()
    (folder / "a.img").write_bytes(content)
    annotation = Annotation("a.img", None, None, (make_object(),))
    with within_limits():
        inspection = inspect_candidate(
            folder, Candidate("a.img", "a.xml", "train", annotation), ImageLimits(MAX_PIXELS), None
        )
        record = inspection.record
        if record is None:
            assert inspection.findings
        else:
            example = load_example(folder, record, {"cat": 1})
    with within_limits():
        for decode in (decode_upright, _decode_small):
            try:
                assert decode(content).mode == "RGB"
            except ImageProblemError as error:
                assert str(error)
    if record is not None:
        decoded = tf.io.decode_jpeg(example.encoded_jpeg, channels=3)
        assert decoded.shape == (record.height_px, record.width_px, 3)
        assert all(
            0 <= item.box_xyxy_px.x_min < item.box_xyxy_px.x_max <= record.width_px
            and 0 <= item.box_xyxy_px.y_min < item.box_xyxy_px.y_max <= record.height_px
            for item in record.objects
        )


def _decode_small(content: bytes) -> Image.Image:
    return decode_small(content, apply_exif=True, max_image_pixels=MAX_PIXELS, side_px=40)[0]
