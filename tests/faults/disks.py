"""Disks that are full, and workspaces that cannot be written."""

from __future__ import annotations

import mmap
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.faults import mounts
from tests.faults.bench import CHANGE, Bench
from tests.faults.outcome import Round

FULL, READ_ONLY = "full disk", "read-only"
_SMALLEST_SHARE = 0.7
_NO_SPACE = r"no space left on the device|No space left on device|Free space or fix permissions"
_PARTS = ("", "artifacts", "reports", "serving", "metadata.db", "file_hashes.db", ".lock", "schema", "demo_data")


def fill_disks(bench: Bench, generator: random.Random, rounds: int) -> Iterator[Round]:
    """Each size lets the run come a little further; the last one has room for everything."""
    if reason := mounts.why_not():
        yield Round(FULL, reason, skipped=True)
        return
    needed = _measure(bench.reference.snapshot)
    # Without these no component starts.
    at_first = needed - sum(_measure(bench.reference.snapshot / part) for part in ("artifacts", "serving", "reports"))
    bench.clear()
    bench.workspace.mkdir()
    with mounts.small_disk(bench.workspace, at_first):
        for size in sorted(_draw_size(generator, at_first, needed) for _ in range(rounds)):
            mounts.resize(bench.workspace, size)
            attempt = bench.run()
            if bench.reached_end(attempt):
                problems = bench.check_finished(attempt)
                answer = "it was enough"
            else:
                problems = bench.check_refused(attempt, _NO_SPACE)
                answer = f"exit code 2 in {_where(attempt.components('failed'))}"
            # Each failed run's log takes some of what the next size adds.
            for report in bench.workspace.glob("reports/2*"):
                shutil.rmtree(report)
            yield Round(FULL, answer, tuple(f"{size:,} bytes: {problem}" for problem in problems))
        mounts.resize(bench.workspace, 8 * needed)
        problems = bench.check_finished(bench.run())
        if problems:
            yield Round(FULL, "the last run", tuple(f"with space again: {problem}" for problem in problems))
    bench.clear()


def _measure(folder: Path) -> int:
    """Return how many bytes of a tmpfs a folder's files need: complete pages."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return sum(-(-path.stat().st_size // mmap.PAGESIZE) * mmap.PAGESIZE for path in files)


def _draw_size(generator: random.Random, at_first: int, needed: int) -> int:
    """Return a size between hardly anything and enough; most are small, as most components write little."""
    return int(_SMALLEST_SHARE * at_first + needed * generator.random() ** 4)


def _where(failed: list[str]) -> str:
    return failed[-1] if failed else "start-up"


def lock_files(bench: Bench, generator: random.Random, rounds: int) -> Iterator[Round]:
    """One part of the workspace is read-only: the answer names it, or the run does without; then all is as before."""
    if reason := mounts.why_not():
        yield Round(READ_ONLY, reason, skipped=True)
        return
    parts = [part for part in _PARTS if (bench.reference.snapshot / part).exists()]
    for part in parts[:rounds]:
        bench.restore()
        with mounts.read_only(bench.workspace / part):
            attempt = bench.run(settings=CHANGE)
            if bench.reached_end(attempt):
                answer, problems = f"{part}: done without", []
            else:
                answer = f"{part or 'all of it'}: exit code 2"
                problems = bench.check_refused(attempt, rf"error: \S*/ws\b.*{part}")
        problems += [f"writable again: {problem}" for problem in bench.check_finished(bench.run())]
        yield Round(READ_ONLY, answer, tuple(f"{part or 'all of it'}: {problem}" for problem in problems))
        shutil.rmtree(bench.workspace)
