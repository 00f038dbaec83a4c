"""What people do to a workspace: delete parts of it, move it, copy it."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.faults.bench import Bench
from tests.faults.outcome import Round
from tests.faults.state import hash_files

DELETED, MOVED = "deleted by hand", "moved"
_OTHER_PARTS = (
    "artifacts",
    "metadata.db",
    "file_hashes.db",
    "schema",
    "source",
    ".lock",
    "demo_data",
    "reports",
    "reports/latest",
    "serving",
    "serving/demo/CURRENT",
    "serving/demo/1",
    "serving/demo/1/manifest.json",
)
_ADVICE = re.compile(r"delete (CURRENT) to begin without a serving version")


def delete_parts(bench: Bench, generator: random.Random, rounds: int) -> Iterator[Round]:
    """Delete each kind of artifact, and each other part, of a finished workspace, and run again."""
    snapshot = bench.reference.snapshot
    artifacts = sorted(path.relative_to(snapshot).as_posix() for path in snapshot.glob("artifacts/[!.]*/[!.]*"))
    parts = [*artifacts, *(part for part in _OTHER_PARTS if (snapshot / part).exists())]
    # A part of the parts where there is little time.
    for part in parts if rounds >= len(parts) else generator.sample(parts, rounds):
        bench.restore()
        _delete(bench.workspace / part)
        attempt, answer = bench.run(), "done again"
        if attempt.exit_code == 2 and _ADVICE.search(attempt.text):
            answer = "exit code 2; done again after its advice"
            problems = bench.check_refused(attempt, r"CURRENT: names version 1")
            for current in bench.workspace.glob("serving/*/CURRENT"):
                current.unlink()
            attempt = bench.run()
        else:
            problems = []
        problems += bench.check_finished(attempt, served_before=True)
        yield Round(DELETED, answer, tuple(f"{part}: {problem}" for problem in problems))


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def move_workspace(bench: Bench, generator: random.Random, rounds: int) -> Iterator[Round]:
    """Moved, moved away and back, and copied, where the copy must leave the original alone."""
    for kind in ("moved", "moved and back", "copied")[:rounds]:
        bench.restore()
        other = bench.folder / "elsewhere"
        shutil.rmtree(other, ignore_errors=True)
        before = hash_files(bench.workspace)
        if kind == "copied":
            shutil.copytree(bench.workspace, other, symlinks=True)
        else:
            bench.workspace.rename(other)
        if kind == "moved and back":
            other.rename(bench.workspace)
            attempt = bench.run()
            fresh = set(attempt.components("started")) - set(attempt.components("failed"))
            problems = [*bench.check_finished(attempt), *(f"{name} ran again" for name in sorted(fresh))]
        else:
            problems = bench.check_finished(bench.run(workspace=other), served_before=True, at=other)
        if kind == "copied" and hash_files(bench.workspace) != before:
            problems.append("the original changed")
        if not hash_files(other if kind != "moved and back" else bench.workspace).items() >= _keep_bundles(before):
            problems.append("a bundle is lost")
        yield Round(MOVED, kind, tuple(f"{kind}: {problem}" for problem in problems))


def _keep_bundles(files: dict[str, str]) -> set[tuple[str, str]]:
    return {(name, sha256) for name, sha256 in files.items() if re.match(r"serving/[^/]+/\d+/", name)}
