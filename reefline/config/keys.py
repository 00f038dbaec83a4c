"""Dotted names of config values, such as "trainer.batch_size"."""

from __future__ import annotations

from collections.abc import Iterable


def any_within(keys: Iterable[str], names: Iterable[str]) -> bool:
    """Return whether one of `keys` equals one of `names` or lies inside it: "trainer.seed" is within "trainer"."""
    known = tuple(names)
    return any(key == name or key.startswith(f"{name}.") for key in keys for name in known)
