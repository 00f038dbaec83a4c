from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from reefline.images.look_alikes import DEFAULT_MAX_BITS, Look, LookIndex, Turns, make_look
from tests.factories_curation import make_picture

WIDTH_PX, HEIGHT_PX = 160, 120


def _recompress(picture: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=20)
    return Image.open(buffer)


def _mark(picture: Image.Image) -> Image.Image:
    marked = picture.copy()
    ImageDraw.Draw(marked).text((90, 100), "example.org", fill="white")
    return marked


def _find(first: Image.Image, second: Image.Image, turns: Turns | None = None) -> list[tuple[int, int]]:
    turns = turns or Turns()
    index = LookIndex([make_look(first, turns)], turns=turns, max_bits=DEFAULT_MAX_BITS)
    return list(index.find(make_look(second, turns), skip=np.zeros(1, dtype=bool)))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda picture: picture.resize((80, 60)), id="rescaled"),
        pytest.param(_recompress, id="recompressed"),
        pytest.param(lambda picture: ImageEnhance.Brightness(picture).enhance(0.7), id="darkened"),
        pytest.param(_mark, id="watermarked"),
        pytest.param(lambda picture: picture.crop((8, 0, WIDTH_PX, HEIGHT_PX - 6)), id="cropped-corner"),
        pytest.param(lambda picture: picture.crop((8, 6, WIDTH_PX - 8, HEIGHT_PX - 6)), id="cropped-all-round"),
    ],
)
def test_a_changed_copy_is_found_from_either_side(change: object) -> None:
    for seed in range(5):
        picture = make_picture(seed)
        assert callable(change)
        copy = change(picture)
        assert _find(picture, copy)
        assert _find(copy, picture)


def test_other_pictures_are_not_found() -> None:
    turns = Turns(rotations=True, flips=True)
    looks = [make_look(make_picture(seed), turns) for seed in range(60)]
    index = LookIndex(looks, turns=turns, max_bits=DEFAULT_MAX_BITS)
    for number, look in enumerate(looks):
        assert [found for found, _ in index.find(look, skip=np.zeros(60, dtype=bool))] == [number]


@pytest.mark.parametrize(
    ("transpose", "turns"),
    [
        (Image.Transpose.ROTATE_90, Turns(rotations=True)),
        (Image.Transpose.ROTATE_180, Turns(rotations=True)),
        (Image.Transpose.FLIP_LEFT_RIGHT, Turns(flips=True)),
        (Image.Transpose.FLIP_TOP_BOTTOM, Turns(flips=True)),
        (Image.Transpose.TRANSPOSE, Turns(rotations=True, flips=True)),
        (Image.Transpose.TRANSVERSE, Turns(rotations=True, flips=True)),
    ],
    ids=lambda value: value.name if isinstance(value, Image.Transpose) else "",
)
def test_turned_copies_are_found_only_if_asked_for(transpose: Image.Transpose, turns: Turns) -> None:
    picture = make_picture(3)
    turned = picture.transpose(transpose)
    assert _find(picture, turned, turns) and _find(turned, picture, turns)
    assert not _find(picture, turned)


def test_hashes_alone_are_not_enough() -> None:
    """Images of equal low frequencies and other outlines are different: a wall with another object in front of it."""
    look = make_look(make_picture(1), Turns())
    noise = np.random.default_rng(0).integers(0, 255, (48, 48), dtype=np.uint8)
    other = Look(noise, look.window_hashes, look.turned_hashes)
    index = LookIndex([look], turns=Turns(), max_bits=DEFAULT_MAX_BITS)
    assert not list(index.find(other, skip=np.zeros(1, dtype=bool)))


def test_plain_images_are_like_no_other() -> None:
    assert not _find(Image.new("RGB", (64, 64), "white"), Image.new("RGB", (64, 64), "black"))


def test_what_is_skipped_is_not_compared() -> None:
    look = make_look(make_picture(1), Turns())
    index = LookIndex([look, look], turns=Turns(), max_bits=0)
    assert list(index.find(look, skip=np.array([True, False]))) == [(1, 0)]
