"""Sizes of images after shrinking, in pixels."""

from __future__ import annotations


def shrunk_size_px(size_px: tuple[int, int], max_dimension: int | None) -> tuple[int, int]:
    """Return the size shrunk into a square of `max_dimension` px, with its aspect kept and sides of at least 1 px."""
    longest_px = max(size_px)
    if max_dimension is None or longest_px <= max_dimension:
        return size_px
    width_px, height_px = (max(1, round(side_px * max_dimension / longest_px)) for side_px in size_px)
    return width_px, height_px


def shrunk_to_shorter_side_px(size_px: tuple[int, int], min_dimension: int | None) -> tuple[int, int]:
    """Return the size shrunk until the shorter side has `min_dimension` px, with its aspect kept; never enlarged."""
    shortest_px = min(size_px)
    if min_dimension is None or shortest_px <= min_dimension:
        return size_px
    width_px, height_px = (round(side_px * min_dimension / shortest_px) for side_px in size_px)
    return width_px, height_px
