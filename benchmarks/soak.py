"""Do metadata.db, the disk and the start of a run grow out of hand over many runs on one workspace?

    python benchmarks/soak.py [--runs 200] [--gc-every 50] [--keep 10] [--workspace DIR] [--json FILE]

Real runs of local_runner.py on tiny generated data, each in a fork of this process, so that only its imports are saved.
Of twenty runs, one has new data, one trains anew, four change the gate only, and fourteen find everything in the cache.
After every `--gc-every` runs, `reefline gc` keeps the newest `--keep`. What libraries print goes to soak_stderr.log in
the workspace. Ctrl-C ends the soak early; with the same `--workspace` and `--json` it continues. Exit code 1 if a limit
is exceeded.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPO_DIR = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO_DIR))

from reefline.system.terminal import send_noise_to  # noqa: E402
from tests.faults.attempt import Attempt, preload  # noqa: E402

_TINY = {
    "demo.images": 24,
    "trainer.num_steps": 2,
    "trainer.steps_per_eval": 1,
    "trainer.batch_size": 8,
    "trainer.warmup_steps": 1,
    "trainer.input_size": 96,
    "trainer.sample_images": 1,
    "exporter.calibration_images": 2,
    "gate.min_map": 0.0,
    "gate.max_quantization_drop": 1.0,
    "gate.max_regression": 1.0,
}
_QUICK = ("cached", "cached", "gate", "cached", "cached", "cached", "gate", "cached", "cached")
_KINDS = ("data", *_QUICK, "training", *_QUICK)
# The last cached runs against the first: the median start, and the median of all seconds.
_MAX_SLOWDOWN = 1.5
# Bytes per run in the second half against the first.
_MAX_GROWTH = 1.5
_COMPARED = 10
_STDERR_FILE = "soak_stderr.log"


@dataclass(frozen=True)
class SoakRun:
    """One run: `start_s` is until the first component was reported, `cpu_s` what the process used in all."""

    number: int
    kind: str
    exit_code: int
    start_s: float
    seconds: float
    cpu_s: float
    metadata_bytes: int
    disk_bytes: int
    freed_bytes: int = 0


def main() -> int:
    options = _parse_options()
    # The runs, which are forks, inherit it.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with contextlib.ExitStack() as held:
        workspace = options.workspace or Path(held.enter_context(tempfile.TemporaryDirectory())) / "workspace"
        workspace.mkdir(parents=True, exist_ok=True)
        with send_noise_to(workspace / _STDERR_FILE):
            preload(training=True)
        runs = _read(options.json)
        with contextlib.suppress(KeyboardInterrupt):
            _soak(workspace, runs, options)
        if runs:
            runs[-1] = dataclasses.replace(runs[-1], freed_bytes=_collect_garbage(workspace, options.keep))
    if options.json is not None:
        options.json.write_text(json.dumps([dataclasses.asdict(run) for run in runs], indent=1) + "\n")
    return int(not _judge(runs))


def _read(path: Path | None) -> list[SoakRun]:
    """Return the figures of earlier runs on the same workspace."""
    if path is None or not path.is_file():
        return []
    return [SoakRun(**record) for record in json.loads(path.read_text())]


def _soak(workspace: Path, runs: list[SoakRun], options: argparse.Namespace) -> None:
    """Run until there are as many runs as wanted, and add each to `runs`."""
    for number in range(len(runs) + 1, options.runs + 1):
        run = _run(workspace, number)
        if run.exit_code not in (0, 3):
            raise SystemExit(f"run {number} ended with exit code {run.exit_code}; see {workspace / 'reports/latest'}")
        if number % options.gc_every == 0:
            run = dataclasses.replace(run, freed_bytes=_collect_garbage(workspace, options.keep))
        runs.append(run)
        print(
            f"{number:4} {run.kind:8} start {run.start_s:5.2f} s  all {run.seconds:6.2f} s  CPU {run.cpu_s:6.2f} s  "
            f"metadata.db {run.metadata_bytes / 1e6:6.3f} MB  disk {run.disk_bytes / 1e6:7.1f} MB",
            flush=True,
        )


def _choose_settings(number: int) -> dict[str, Any]:
    """Return the settings of a run: the same as before it, but for what its kind changes."""
    last = {kind: max((n for n in range(1, number + 1) if _find_kind(n) == kind), default=0) for kind in _KINDS}
    return _TINY | {
        "demo.seed": last["data"],
        "trainer.seed": last["training"],
        "gate.max_regression": 1.0 - last["gate"] / 10_000,
    }


def _find_kind(number: int) -> str:
    return _KINDS[(number - 1) % len(_KINDS)]


def _run(workspace: Path, number: int) -> SoakRun:
    settings = _choose_settings(number)
    options = [part for name, value in settings.items() for part in ("--set", f"{name}={json.dumps(value)}")]
    before_s = time.monotonic()
    attempt = Attempt(["--workspace", str(workspace), *options], environment={}, errors=workspace / _STDERR_FILE)
    try:
        found = attempt.read_until(lambda line: line.startswith("VocExampleGen: "))
        start_s = attempt.lines[-1].seconds if found else 0.0
        exit_code = attempt.end()
    except KeyboardInterrupt:
        # The clean-up needs the workspace.
        attempt.send(signal.SIGINT)
        attempt.end()
        raise
    return SoakRun(
        number=number,
        kind=_find_kind(number),
        exit_code=exit_code,
        start_s=start_s,
        seconds=time.monotonic() - before_s,
        cpu_s=attempt.cpu_s,
        metadata_bytes=(workspace / "metadata.db").stat().st_size,
        disk_bytes=_measure_disk(workspace),
    )


def _collect_garbage(workspace: Path, keep: int) -> int:
    before = _measure_disk(workspace)
    command = [sys.executable, "-m", "reefline", "gc", "--keep", str(keep), "--workspace", str(workspace)]
    subprocess.run(command, cwd=REPO_DIR, check=True)
    return before - _measure_disk(workspace)


def _measure_disk(folder: Path) -> int:
    """Return what the disk holds: blocks, and a file with several links once."""
    return 1024 * int(
        subprocess.run(["du", "-sk", folder], check=True, capture_output=True, text=True).stdout.split()[0]
    )


def _judge(runs: Sequence[SoakRun]) -> bool:
    """Print and return whether nothing grows faster than linearly or slows down."""
    cached = [run for run in runs if run.kind == "cached"]
    if len(cached) < 2:
        print("too few runs to compare")
        return False
    first, last = cached[:_COMPARED], cached[-_COMPARED:]
    ratios = {
        "start of cached runs, last / first": _compare(first, last, "start_s", _MAX_SLOWDOWN),
        "seconds of cached runs, last / first": _compare(first, last, "seconds", _MAX_SLOWDOWN),
        "CPU seconds of cached runs, last / first": _compare(first, last, "cpu_s", _MAX_SLOWDOWN),
        "metadata.db per run, second half / first": _compare_growth(runs, "metadata_bytes"),
        "disk per run, second half / first": _compare_growth(runs, "disk_bytes"),
    }
    for what, (ratio, limit) in ratios.items():
        print(f"{what:42} {ratio:5.2f} (limit {limit:g})")
    return all(ratio <= limit for ratio, limit in ratios.values())


def _compare(first: Sequence[SoakRun], last: Sequence[SoakRun], name: str, limit: float) -> tuple[float, float]:
    before, after = (statistics.median(getattr(run, name) for run in runs) for runs in (first, last))
    return after / before, limit


def _compare_growth(runs: Sequence[SoakRun], name: str) -> tuple[float, float]:
    """Return growth per run of the second half against the first; what a clean-up freed counts as kept."""
    freed, sizes = 0, []
    for run in runs:
        sizes.append(getattr(run, name) + (freed if name == "disk_bytes" else 0))
        freed += run.freed_bytes
    half = len(sizes) // 2
    before, after = (sizes[half] - sizes[0]) / half, (sizes[-1] - sizes[half]) / (len(sizes) - 1 - half)
    return after / max(1.0, before), _MAX_GROWTH


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run the pipeline again and again on one workspace.")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--gc-every", type=int, default=50)
    parser.add_argument("--keep", type=int, default=10)
    parser.add_argument("--workspace", type=Path, help="a new folder; default: a temporary one")
    parser.add_argument("--json", type=Path, help="write the figures of every run here")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
