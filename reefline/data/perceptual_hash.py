"""A 64-bit hash that stays nearly equal when an image is re-encoded or resized, and finds such pairs."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

HASH_BITS = 64
_SIDE = 8


def compute_perceptual_hash(image: Image.Image) -> int:
    """Return the 64-bit pHash of an image: which low frequencies of its luminance lie above their median."""
    import imagehash

    bits = imagehash.phash(image, hash_size=_SIDE).hash
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def find_near_pairs(first: Sequence[int], second: Sequence[int], *, max_bits: int) -> Iterator[tuple[int, int, int]]:
    """Yield (index in first, index in second, bits) of all pairs of hashes that differ in at most `max_bits`.

    Two such hashes agree in at least one of `max_bits` + 1 bands, so that only pairs sharing a band are compared.
    """
    bands = _band_masks(max_bits + 1)
    buckets: list[dict[int, list[int]]] = [defaultdict(list) for _ in bands]
    for index, value in enumerate(second):
        for bucket, mask in zip(buckets, bands, strict=True):
            bucket[value & mask].append(index)
    for index, value in enumerate(first):
        near = {i for bucket, mask in zip(buckets, bands, strict=True) for i in bucket.get(value & mask, ())}
        for other in sorted(near):
            bits = (value ^ second[other]).bit_count()
            if bits <= max_bits:
                yield index, other, bits


def _band_masks(count: int) -> list[int]:
    edges = [HASH_BITS * i // count for i in range(count + 1)]
    return [(1 << high) - (1 << low) for low, high in itertools.pairwise(edges)]
