"""How many cores a process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def count_cores() -> int:
    """Return how many cores this process may use: those of its affinity, at most its container's limit, rounded up."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = _read_limit(_CGROUPS)
    return own if limit is None else max(1, min(own, math.ceil(limit)))


def _read_limit(cgroups: Path) -> float | None:
    """Return the cores that a container may keep busy, by cgroup v2, then v1; None without a limit."""
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota, period = " ".join((cgroups / name).read_text() for name in files).split()
            # v2 has "max" and v1 -1 where there is no limit.
            if int(quota) > 0:
                return int(quota) / int(period)
        except (OSError, ValueError, ZeroDivisionError):
            continue
    return None
