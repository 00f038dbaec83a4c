"""How many cores a process may use."""

from __future__ import annotations

import os


def count_cores() -> int:
    """Return how many cores this process may use; only Linux can restrict a process to some of them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
