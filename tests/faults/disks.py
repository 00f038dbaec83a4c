"""Disks that are full, and workspaces that cannot be written."""

from __future__ import annotations

import math
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.faults import mounts
from tests.faults.bench import CHANGE, Bench
from tests.faults.outcome import Round

FULL, READ_ONLY = "full disk", "read-only"
_SMALLEST_BYTES = 120_000
_NO_SPACE = r"no space left on the device|No space left on device|Free space or fix permissions"
_PARTS = ("", "artifacts", "reports", "serving", "metadata.db", "file_hashes.db", ".lock", "schema", "demo_data")


def fill_disks(bench: Bench, generator: random.Random, rounds: int) -> Iterator[Round]:
    """Each size lets the run come a little further; the last one has room for everything."""
    if reason := mounts.why_not():
        yield Round(FULL, reason, skipped=True)
        return
    needed = _measure(bench.reference.snapshot)
    bench.clear()
    bench.workspace.mkdir()
    with mounts.small_disk(bench.workspace, _SMALLEST_BYTES):
        for size in sorted(_draw_size(generator, needed) for _ in range(rounds)):
            mounts.resize(bench.workspace, size)
            attempt = bench.run()
            if bench.reached_end(attempt):
                problems = bench.check_finished(attempt)
                answer = "it was enough"
            else:
                problems = bench.check_refused(attempt, _NO_SPACE)
                answer = f"exit code 2 in {_where(attempt.components('failed'))}"
            yield Round(FULL, answer, tuple(f"{size:,} bytes: {problem}" for problem in problems))
        mounts.resize(bench.workspace, 8 * needed)
        problems = bench.check_finished(bench.run())
        if problems:
            yield Round(FULL, "the last run", tuple(f"with space again: {problem}" for problem in problems))
    bench.clear()


def _measure(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _draw_size(generator: random.Random, needed: int) -> int:
    """Return a size between far too small and nearly enough; small ones are as likely as large ones."""
    return int(math.exp(generator.uniform(math.log(_SMALLEST_BYTES), math.log(needed))))


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
            if attempt.exit_code == bench.reference.exit_code:
                answer, problems = f"{part}: done without", []
            else:
                answer, problems = (
                    f"{part or 'all of it'}: exit code 2",
                    bench.check_refused(attempt, r"error: \S*ws\b"),
                )
        problems += [f"writable again: {problem}" for problem in bench.check_finished(bench.run())]
        yield Round(READ_ONLY, answer, tuple(f"{part or 'all of it'}: {problem}" for problem in problems))
        shutil.rmtree(bench.workspace)
