from __future__ import annotations

import random

from PIL import Image

from reefline.images.perceptual_hash import compute_perceptual_hash, find_near_pairs
from tests.factories import make_pixels


def _hash(seed: int, size_px: tuple[int, int] = (64, 48)) -> int:
    return compute_perceptual_hash(Image.fromarray(make_pixels(seed)).resize(size_px))


def test_a_resized_image_stays_near_and_another_is_far() -> None:
    assert (_hash(1) ^ _hash(1, (128, 96))).bit_count() <= 4
    assert (_hash(1) ^ _hash(2)).bit_count() > 12
    assert 0 <= _hash(3) < 1 << 64


def test_near_pairs_are_those_that_a_full_search_finds() -> None:
    rng = random.Random(0)
    first = [rng.getrandbits(64) for _ in range(40)]
    second = [value ^ sum(1 << rng.randrange(64) for _ in range(rng.randrange(9))) for value in first]
    for max_bits in (0, 1, 4, 7):
        expected = [
            (i, j, (a ^ b).bit_count())
            for i, a in enumerate(first)
            for j, b in enumerate(second)
            if (a ^ b).bit_count() <= max_bits
        ]
        assert list(find_near_pairs(first, second, max_bits=max_bits)) == expected
        assert expected
