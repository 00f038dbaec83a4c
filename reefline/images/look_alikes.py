"""Images that look alike: rescaled, recompressed, brightened, watermarked, slightly cropped; turned, if asked for.

pHash alone misses crops: cutting off 5 % of a photograph changes 8 to 10 of its 64 bits, as much as lies between two
photographs of a series. So each image is hashed through several windows, of which one resembles a crop. What the
hashes find is then compared by its outlines, which differ between images of the same kind. benchmarks/dedupe.py
measures both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from reefline.images.perceptual_hash import band_masks, hash_luminance, sample_luminance

# Measured by benchmarks/dedupe.py: more bits find little more, and compare many more images.
DEFAULT_MAX_BITS = 8
# Copies have 0.65 and more; different images of the same kind hardly ever.
_MIN_OUTLINE_AGREEMENT = 0.6
_THUMBNAIL_SIDE = 48
# Left, upper, right and lower as fractions: everything, the corners and the middle of 95 %, less by 5 % on each side,
# and on one side.
_WINDOWS = (
    (0.0, 0.0, 1.0, 1.0),
    (0.0, 0.0, 0.95, 0.95),
    (0.05, 0.0, 1.0, 0.95),
    (0.0, 0.05, 0.95, 1.0),
    (0.05, 0.05, 1.0, 1.0),
    (0.025, 0.025, 0.975, 0.975),
    (0.05, 0.05, 0.95, 0.95),
    (0.05, 0.0, 1.0, 1.0),
    (0.0, 0.0, 0.95, 1.0),
    (0.0, 0.05, 1.0, 1.0),
    (0.0, 0.0, 1.0, 0.95),
)


@dataclass(frozen=True)
class Turns:
    """Which turned copies count: by 90, 180 and 270 degrees, mirrored, or with both any of the eight positions."""

    rotations: bool = False
    flips: bool = False

    def apply(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return square pixels in each position that counts, the given one first."""
        mirrored = (pixels[:, ::-1], pixels[::-1])
        rotated = tuple(np.rot90(pixels, count) for count in (1, 2, 3))
        diagonal = (pixels.T, np.rot90(pixels, 2).T)
        return (
            pixels,
            *(rotated if self.rotations else ()),
            *(mirrored if self.flips else ()),
            *(diagonal if self.rotations and self.flips else ()),
        )


@dataclass(frozen=True)
class Look:
    """What is kept of an image to find its look-alikes.

    `thumbnail` is its luminance, uint8, 48 x 48. `window_hashes` are those of the windows, the complete image first,
    `turned_hashes` those of the complete image in each position that counts, also that one first.
    """

    thumbnail: np.ndarray
    window_hashes: tuple[int, ...]
    turned_hashes: tuple[int, ...]


def make_look(image: Image.Image, turns: Turns) -> Look:
    """Return the look of an image of any size; 64 px a side are enough."""
    grey = image.convert("L")
    samples = [sample_luminance(grey, _window_px(index, grey.size)) for index in range(len(_WINDOWS))]
    thumbnail = grey.resize((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), Image.Resampling.BILINEAR)
    return Look(
        thumbnail=np.asarray(thumbnail),
        window_hashes=tuple(map(hash_luminance, samples)),
        turned_hashes=tuple(map(hash_luminance, turns.apply(samples[0]))),
    )


class LookIndex:
    """Finds look-alikes of one image after the other without comparing each with each.

    Hashes that differ in at most `max_bits` agree in at least one of `max_bits` + 1 bands, so only hashes that share a
    band are compared.
    """

    def __init__(self, looks: Sequence[Look], *, turns: Turns, max_bits: int) -> None:
        self._looks = looks
        self._turns = turns
        self._max_bits = max_bits
        self._windows = _HashTable([look.window_hashes for look in looks], max_bits)
        self._turned = _HashTable([look.turned_hashes for look in looks], max_bits)

    def find(self, look: Look, *, skip: np.ndarray) -> Iterator[tuple[int, int]]:
        """Yield (number, bits) of the looks that are alike, in the order of their numbers.

        Either image may be the cropped one. `skip` has a bool per look: True leaves it out.
        """
        crops_of = self._windows.find(look.turned_hashes)
        crops = self._turned.find(look.window_hashes)
        # Columns: number, bits, whether the given look is the crop, its hash, the other's hash.
        found = np.concatenate(
            [
                np.stack([numbers, bits, np.full_like(bits, direction), own, others], axis=1)
                for direction, (numbers, bits, own, others) in enumerate((crops, crops_of))
            ]
        )
        found = found[~skip[found[:, 0]]]
        found = found[np.lexsort((found[:, 1], found[:, 0]))]
        done = -1
        for number, bits, is_crop, own, other in found.tolist():
            if number == done:
                continue
            crop, image = (look, self._looks[number]) if is_crop else (self._looks[number], look)
            turn, window = (own, other) if is_crop else (other, own)
            if self._agree(crop, image, turn, window):
                yield number, bits
                done = number

    def _agree(self, crop: Look, image: Look, turn: int, window: int) -> bool:
        """Return whether the outlines of `crop`, turned, are those in the window of `image`."""
        turned = self._turns.apply(_outline_source(crop, 0))[turn]
        first, second = _outlines(turned), _outlines(_outline_source(image, window))
        scale = float(np.linalg.norm(first) * np.linalg.norm(second))
        # Plain images have no outlines, and their hashes are noise.
        return scale > 0 and float(first @ second) >= _MIN_OUTLINE_AGREEMENT * scale


class _HashTable:
    """The hashes of all looks, sorted by each band."""

    def __init__(self, hashes: Sequence[tuple[int, ...]], max_bits: int) -> None:
        self._per_look = len(hashes[0]) if hashes else 1
        self._values = np.array([value for group in hashes for value in group], dtype=np.uint64)
        self._max_bits = max_bits
        self._masks = np.array(band_masks(max_bits + 1), dtype=np.uint64)
        orders = [np.argsort(self._values & mask, kind="stable") for mask in self._masks]
        self._keys = [(self._values & mask)[order] for mask, order in zip(self._masks, orders, strict=True)]
        self._order = np.concatenate(orders)

    def find(self, hashes: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the number of each look found, the bits that differ, which of `hashes` found it, and by which hash."""
        wanted = np.array(hashes, dtype=np.uint64)
        lows, highs = (
            np.concatenate(
                [np.searchsorted(keys, wanted & mask, side) for mask, keys in zip(self._masks, self._keys, strict=True)]
            )
            for side in ("left", "right")
        )
        counts = highs - lows
        firsts = lows + np.repeat(np.arange(len(self._masks)) * len(self._values), len(wanted))
        places = np.arange(counts.sum()) + np.repeat(firsts - (np.cumsum(counts) - counts), counts)
        position = self._order[places]
        asker = np.repeat(np.tile(np.arange(len(wanted)), len(self._masks)), counts)
        bits = _count_bits(self._values[position] ^ wanted[asker])
        near = bits <= self._max_bits
        position, asker = position[near], asker[near]
        return position // self._per_look, bits[near], asker, position % self._per_look


def _count_bits(values: np.ndarray) -> np.ndarray:
    """Return how many bits are set in each uint64, as int64 (Warren, Hacker's Delight, figure 5-2)."""
    ones, twos, fours = (np.uint64(pattern) for pattern in (0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F))
    values = values - ((values >> np.uint64(1)) & ones)
    values = (values & twos) + ((values >> np.uint64(2)) & twos)
    values = (values + (values >> np.uint64(4))) & fours
    return ((values * np.uint64(0x0101010101010101)) >> np.uint64(56)).astype(np.int64)


def _window_px(index: int, size_px: tuple[int, int]) -> tuple[float, float, float, float]:
    left, upper, right, lower = _WINDOWS[index]
    width_px, height_px = size_px
    return left * width_px, upper * height_px, right * width_px, lower * height_px


def _outline_source(look: Look, window: int) -> np.ndarray:
    size_px = (_THUMBNAIL_SIDE, _THUMBNAIL_SIDE)
    return sample_luminance(Image.fromarray(look.thumbnail), _window_px(window, size_px))


def _outlines(luminance: np.ndarray) -> np.ndarray:
    """Return the differences of neighbouring samples, down and across, as one vector."""
    return np.concatenate([np.diff(luminance, axis=0).ravel(), np.diff(luminance, axis=1).ravel()])
