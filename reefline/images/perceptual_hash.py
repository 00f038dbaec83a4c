"""A 64-bit hash that hardly changes when an image is re-encoded or resized, and a search for such pairs."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

HASH_BITS = 64
_SIDE = 8
_SAMPLED_SIDE = 32


def _dct_rows() -> np.ndarray:
    frequency, position = np.arange(_SIDE)[:, None], np.arange(_SAMPLED_SIDE)[None, :]
    return np.cos(np.pi * frequency * (2 * position + 1) / (2 * _SAMPLED_SIDE))


_DCT_ROWS = _dct_rows()


def compute_perceptual_hash(image: Image.Image) -> int:
    """Return the 64-bit pHash of an image: which low frequencies of its luminance lie above their median.

    The method is pHash's (Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions", 3.2.1):
    the 8 x 8 lowest frequencies of the DCT-II of the image at 32 x 32. ImageHash computes all 32 x 32 frequencies and
    takes twice as long, for every ingested image (benchmarks/ingestion.py).
    """
    return hash_luminance(sample_luminance(image))


def sample_luminance(image: Image.Image, box: tuple[float, float, float, float] | None = None) -> np.ndarray:
    """Return the luminance (0..255, float64) of an image at 32 x 32.

    `box` is the part to sample: left, upper, right and lower in px, not necessarily integers; None for all of it.
    """
    grey = image if image.mode == "L" else image.convert("L")
    sampled = grey.resize((_SAMPLED_SIDE, _SAMPLED_SIDE), Image.Resampling.BILINEAR, box=box)
    # np.asarray(image) takes twice as long, for every ingested image.
    return np.frombuffer(sampled.tobytes(), np.uint8).reshape(_SAMPLED_SIDE, _SAMPLED_SIDE).astype(np.float64)


def hash_luminance(luminance: np.ndarray) -> int:
    """Return the hash of what `sample_luminance` returned."""
    low_frequencies = (_DCT_ROWS @ luminance @ _DCT_ROWS.T).ravel()
    # The median of an even number of values; np.median takes longer than the sorting.
    middle = np.sort(low_frequencies)[HASH_BITS // 2 - 1 : HASH_BITS // 2 + 1]
    is_above = low_frequencies > (middle[0] + middle[1]) / 2
    return int.from_bytes(np.packbits(is_above).tobytes(), "big")


def find_near_pairs(first: Sequence[int], second: Sequence[int], *, max_bits: int) -> Iterator[tuple[int, int, int]]:
    """Yield (index in first, index in second, bits) of all pairs of hashes that differ in at most `max_bits`.

    Two such hashes agree in at least one of `max_bits` + 1 bands, so only pairs that share a band are compared.
    """
    bands = band_masks(max_bits + 1)
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


def band_masks(count: int) -> list[int]:
    """Return masks that cut a hash into `count` bands: hashes that differ in fewer bits agree in one of them."""
    edges = [HASH_BITS * i // count for i in range(count + 1)]
    return [(1 << high) - (1 << low) for low, high in itertools.pairwise(edges)]
