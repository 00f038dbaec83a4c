"""How much memory is available, and how much this process has used."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

_MEMORY_INFO = Path("/proc/meminfo")
# The limit, the usage, and the statistics with the key of the pages that are freed on demand; cgroup v2, then v1.
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
    """Return the peak resident memory of this process; Linux reports KiB, macOS bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def read_available_bytes() -> int | None:
    """Return how much memory a process can still allocate on this machine and in this container; None if unknown.

    It is the lowest of MemAvailable in /proc/meminfo and what the limits of cgroups v2 and v1 leave.
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
    except (OSError, ValueError):  # not in such a container, or the limit is "max"
        return None
    return max(0, limit - used + statistics.get(reclaimable, 0))


def parse_memory_table(text: str) -> dict[str, int]:
    """Return the numbers in /proc/meminfo ("MemAvailable:  1 kB") or memory.stat ("inactive_file 1") by name."""
    rows = [line.replace(":", " ").split() for line in text.splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) > 1}
