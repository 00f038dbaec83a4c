"""Groups of images that look alike, which belong on one side of a split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reefline.images.look_alikes import DEFAULT_MAX_BITS, Look, LookIndex, Turns
from reefline.images.perceptual_hash import find_near_pairs

# Ingestion warns of 4 bits between splits, and writing an image again changes up to 2.
_MAX_HASH_BITS = 6


def group_look_alikes(sha256s: Sequence[str], hashes: Sequence[int], looks: Sequence[Look | None]) -> tuple[int, ...]:
    """Return the number of each image's group: equal content, near hashes, or a look that is alike.

    Groups are chains: if A is near B, and B near C, all three are one group.
    """
    first_of: dict[str, int] = {}
    groups = np.array([first_of.setdefault(sha256, index) for index, sha256 in enumerate(sha256s)], dtype=np.int64)
    distinct = list(first_of.values())
    values = [hashes[index] for index in distinct]
    for one, other, _ in find_near_pairs(values, values, max_bits=_MAX_HASH_BITS):
        _merge(groups, distinct[one], distinct[other])
    seen = [(index, look) for index in distinct if (look := looks[index]) is not None]
    if not seen:
        return tuple(groups.tolist())
    members = np.array([index for index, _ in seen])
    turns = Turns()
    index_of_looks = LookIndex([look for _, look in seen], turns=turns, max_bits=DEFAULT_MAX_BITS)
    for index, look in seen:
        # What is in the same group needs no comparison.
        for found, _ in list(index_of_looks.find(look, skip=groups[members] == groups[index])):
            _merge(groups, index, int(members[found]))
    return tuple(groups.tolist())


def _merge(groups: np.ndarray, one: int, other: int) -> None:
    low, high = sorted((int(groups[one]), int(groups[other])))
    if low != high:
        groups[groups == high] = low
