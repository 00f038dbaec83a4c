"""Image files: inspecting them, detecting damage, and converting them to RGB JPEGs."""

from __future__ import annotations

import contextlib
import io
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from reefline.images.jpeg_draft import load_jpeg_draft
from reefline.images.perceptual_hash import compute_perceptual_hash
from reefline.images.problem import ImageProblemError as ImageProblemError
from reefline.images.rgb import find_full_scale, flatten, is_deep, is_usual_scale

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff"})
# libjpeg's JPEG_MAX_DIMENSION.
MAX_JPEG_SIDE_PX = 65_500
_JPEG_QUALITY = 95
# Pillow opens a JPEG of several pictures (MPO) as a JPEG first.
_FORMATS = ("JPEG", "PNG", "BMP", "DIB", "WEBP", "GIF", "TIFF")
_JPEG_FORMATS = frozenset({"JPEG", "MPO"})
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_SIZE = slice(16, 24)
_EXIF_ORIENTATION_TAG = 0x0112
_UPRIGHT = 1
_AXIS_SWAPPING_ORIENTATIONS = frozenset({5, 6, 7, 8})
# What makes an image upright; all but 6 and 8 are their own inverse (Exif 2.32, 4.6.4, Orientation).
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TURNS_BACK = {**_TURNS, 6: _TURNS[8], 8: _TURNS[6]}
# 12 bits in 16-bit RGB end up here, since Pillow only keeps the upper 8.
_DARK = 15
# Pillow's limit is a module variable, and Beam may use threads.
_PILLOW_LIMIT_LOCK = threading.Lock()
_EMPTY_FILE = "the file is empty: copy it again"
# Only Pillow's message distinguishes a truncated file from a broken one.
_TRUNCATION_WORDS = ("truncated", "premature", "unexpected end", "not enough data", "incomplete")


@dataclass(frozen=True)
class ImageFacts:
    """The facts about an image file; sizes are as stored, before the EXIF orientation (1..8) is applied.

    `range_problem` describes pixels whose range was guessed, or that are almost black; None for all others.
    """

    width_px: int
    height_px: int
    exif_orientation: int
    is_rgb_jpeg: bool
    is_animated: bool
    perceptual_hash: int
    range_problem: str | None = None

    @property
    def upright_size_px(self) -> tuple[int, int]:
        """Width and height after the EXIF orientation is applied."""
        if self.exif_orientation in _AXIS_SWAPPING_ORIENTATIONS:
            return self.height_px, self.width_px
        return self.width_px, self.height_px


def inspect_image(image_bytes: bytes, *, max_image_pixels: int) -> ImageFacts:
    """Return the facts about an image, after decoding it far enough to know that it is complete.

    The size is read from the header first, so an image of more than `max_image_pixels` is never decoded. A JPEG is
    decoded at an eighth of its size, which still reads every byte.

    Raises:
        ImageProblemError: the image is too large (image_too_large), truncated (image_truncated), damaged or not of a
            known format (image_unreadable).
    """
    image = _open_image(image_bytes, max_image_pixels)
    is_jpeg = image.format in _JPEG_FORMATS
    is_rgb_jpeg = is_jpeg and image.mode == "RGB"
    orientation = _read_orientation(image)
    width_px, height_px = _stored_size_px(image, orientation)
    range_problem = None
    with _decoder_errors():
        is_animated = not is_jpeg and getattr(image, "n_frames", 1) > 1
        if isinstance(image, JpegImageFile):
            grey = load_jpeg_draft(image, image_bytes)
        else:
            image.load()
            grey = flatten(image).convert("L")
            range_problem = _describe_range(image, grey)
        perceptual_hash = compute_perceptual_hash(grey)
    return ImageFacts(
        width_px=width_px,
        height_px=height_px,
        exif_orientation=orientation,
        is_rgb_jpeg=is_rgb_jpeg,
        is_animated=is_animated,
        perceptual_hash=perceptual_hash,
        range_problem=range_problem,
    )


def read_upright_size_px(image_bytes: bytes) -> tuple[int, int]:
    """Return width and height after the EXIF orientation is applied, from the header alone.

    Raises:
        ImageProblemError: the header is damaged, or of no known format.
    """
    image = _open_image(image_bytes, None)
    with _decoder_errors():
        orientation = _read_orientation(image)
        width_px, height_px = _stored_size_px(image, orientation)
    return (height_px, width_px) if orientation in _AXIS_SWAPPING_ORIENTATIONS else (width_px, height_px)


def transcode_to_rgb_jpeg(image_bytes: bytes, *, apply_exif: bool, size_px: tuple[int, int]) -> bytes:
    """Return the first frame of an image as an RGB JPEG of `size_px` (width, height), upright if `apply_exif`.

    Grey, palette, CMYK and 16-bit images become 8-bit RGB; transparent parts become white.

    Raises:
        ImageProblemError: the bytes are not an image that `inspect_image` would accept.
    """
    # Its size was checked when the image was inspected.
    image = _open_image(image_bytes, max_image_pixels=None)
    orientation = _read_orientation(image)
    with _decoder_errors():
        image.load()
        flat = _turn(flatten(image), image, orientation, apply_exif=apply_exif)
    if flat.size != size_px:
        flat = flat.resize(size_px, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    flat.convert("RGB").save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def decode_upright(image_bytes: bytes) -> Image.Image:
    """Return the first frame of an image as 8-bit RGB with its EXIF orientation applied; transparent parts are white.

    Raises:
        ImageProblemError: as `inspect_image`, but with Pillow's own limit on the size.
    """
    if not image_bytes:
        raise ImageProblemError("image_unreadable", _EMPTY_FILE)
    with _decoder_errors():
        image = Image.open(io.BytesIO(image_bytes), formats=_FORMATS)
        image.load()
        return flatten(image if _read_orientation(image) == _UPRIGHT else ImageOps.exif_transpose(image)).convert("RGB")


def decode_small(
    image_bytes: bytes, *, apply_exif: bool, max_image_pixels: int, side_px: int
) -> tuple[Image.Image, tuple[int, int]]:
    """Return the first frame as RGB, upright if `apply_exif`, and its full width and height.

    A JPEG is decoded at the smallest scale that keeps both sides at `side_px` or more; other formats in full.

    Raises:
        ImageProblemError: as `inspect_image`.
    """
    image = _open_image(image_bytes, max_image_pixels)
    orientation = _read_orientation(image)
    width_px, height_px = _stored_size_px(image, orientation)
    is_turned = apply_exif and orientation in _AXIS_SWAPPING_ORIENTATIONS
    with _decoder_errors():
        image.draft(image.mode, (side_px, side_px))
        image.load()
        rgb = _turn(flatten(image), image, orientation, apply_exif=apply_exif).convert("RGB")
    return rgb, (height_px, width_px) if is_turned else (width_px, height_px)


def _open_image(image_bytes: bytes, max_image_pixels: int | None) -> ImageFile.ImageFile:
    if not image_bytes:
        raise ImageProblemError("image_unreadable", _EMPTY_FILE)
    # Pillow does not open a PNG that ends after its header, so the size is read here: being too large comes first.
    if max_image_pixels is not None and image_bytes.startswith(_PNG_SIGNATURE) and len(image_bytes) >= _PNG_SIZE.stop:
        _check_pixels(struct.unpack(">II", image_bytes[_PNG_SIZE]), max_image_pixels)
    with _decoder_errors(), _without_pillow_limit():
        image = Image.open(io.BytesIO(image_bytes), formats=_FORMATS)
    if max_image_pixels is not None:
        _check_pixels(image.size, max_image_pixels)
    return image


def _check_pixels(size_px: tuple[int, ...], max_image_pixels: int) -> None:
    width_px, height_px = size_px
    if width_px * height_px > max_image_pixels:
        raise ImageProblemError(
            "image_too_large",
            f"{width_px} x {height_px} px exceed data.max_image_pixels ({max_image_pixels}): "
            "shrink the image, or raise the limit",
        )


@contextlib.contextmanager
def _without_pillow_limit() -> Iterator[None]:
    """Lift Pillow's limit while a header is read: its error would not tell the image's size."""
    with _PILLOW_LIMIT_LOCK:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


@contextlib.contextmanager
def _decoder_errors() -> Iterator[None]:
    """Turn any error of a decoder into an ImageProblemError: on broken input it may raise anything."""
    try:
        yield
    except ImageProblemError:
        raise
    except Exception as error:
        raise _describe(error) from error


def _describe(error: Exception) -> ImageProblemError:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, Image.DecompressionBombError):
        return ImageProblemError("image_too_large", f"{text}: shrink the image")
    if isinstance(error, UnidentifiedImageError):
        return ImageProblemError(
            "image_unreadable", "not a readable JPEG, PNG, BMP, WebP, GIF or TIFF image, despite its name"
        )
    if isinstance(error, EOFError) or any(word in text.lower() for word in _TRUNCATION_WORDS):
        return ImageProblemError("image_truncated", f"the image is truncated ({text}): copy or export it again")
    return ImageProblemError("image_unreadable", f"cannot decode the image ({text}): copy or export it again")


def _read_orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION_TAG, _UPRIGHT)
    except Exception:  # EXIF data may be broken in any way, and the image is still good
        return _UPRIGHT
    return orientation if isinstance(orientation, int) and _UPRIGHT < orientation <= 8 else _UPRIGHT


def _is_turned_by_pillow(image: Image.Image) -> bool:
    """Return whether Pillow tells the upright size and decodes to upright pixels by itself."""
    return image.format == "TIFF"


def _turn(pixels: Image.Image, image: Image.Image, orientation: int, *, apply_exif: bool) -> Image.Image:
    """Return the decoded pixels of `image` upright if `apply_exif`, as stored otherwise."""
    turn = (_TURNS if apply_exif else _TURNS_BACK).get(orientation)
    if turn is None or apply_exif is _is_turned_by_pillow(image):
        return pixels
    return pixels.transpose(turn)


def _stored_size_px(image: Image.Image, orientation: int) -> tuple[int, int]:
    width_px, height_px = image.size
    if orientation in _AXIS_SWAPPING_ORIENTATIONS and _is_turned_by_pillow(image):
        return height_px, width_px
    return width_px, height_px


def _describe_range(image: Image.Image, grey: Image.Image) -> str | None:
    """Return what is doubtful about the range of an image's pixels, `grey` being the 8 bits made of them."""
    if is_deep(image):
        full_scale = find_full_scale(image)
        if not is_usual_scale(image, full_scale):
            return f"its pixels have no value above {full_scale:g}, which is read as white: check the brightness"
    _, brightest = grey.getextrema()
    if isinstance(brightest, (int, float)) and brightest <= _DARK:
        return f"no pixel is brighter than {brightest:g} of 255: if that is wrong, save it with 8 bits per channel"
    return None
