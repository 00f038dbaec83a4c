"""How much memory there is, and how much this process has taken."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

_MEMORY_INFO = Path("/proc/meminfo")
# What may be used, what is, and the statistics that hold the name after it: pages that are given back when needed.
_CONTAINER_FILES = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat", "inactive_file"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
        "total_inactive_file",
    ),
)


def read_peak_resident_bytes() -> int:
    """Return the most memory that this process ever had; Linux counts in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def read_available_bytes() -> int | None:
    """Return what a process can still take on this machine and in this container; None where nobody says.

    MemAvailable of /proc/meminfo, and the limits of cgroups of version 2 and 1.
    """
    found = [_read_machine(), *(_read_container(*files) for files in _CONTAINER_FILES)]
    return min((value for value in found if value is not None), default=None)


def _read_machine() -> int | None:
    if not _MEMORY_INFO.is_file():
        return None
    return int(parse_memory_table(_MEMORY_INFO.read_text())["MemAvailable"]) * 1024


def _read_container(limit_file: str, used_file: str, statistics_file: str, reclaimable: str) -> int | None:
    try:
        limit, used = int(Path(limit_file).read_text()), int(Path(used_file).read_text())
        statistics = parse_memory_table(Path(statistics_file).read_text())
    except (OSError, ValueError):  # no such container, or the limit is the word "max"
        return None
    return max(0, limit - used + statistics.get(reclaimable, 0))


def parse_memory_table(text: str) -> dict[str, int]:
    """Return the numbers of /proc/meminfo ("MemAvailable:  1 kB") or of memory.stat ("inactive_file 1") by name."""
    rows = [line.replace(":", " ").split() for line in text.splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) > 1}
