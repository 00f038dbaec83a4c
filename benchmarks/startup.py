"""How long a run keeps its user waiting before anything is trained, next to an empty TFX pipeline.

    python benchmarks/startup.py [--rounds 5] [--workspace DIR]

Without --workspace, a small first run fills one; with it, an earlier call's workspace is used again. Each side is a new
process, and both find their components in the cache. TFX's side is one component that does nothing, run by its
LocalDagRunner. The medians of all rounds are printed, and what reached the terminal that is not Reefline's, in the
first run, one complete `verify` and all rounds. Only the first run in a new workspace imports TensorFlow.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

REPO_DIR = Path(__file__).resolve().parents[1]
LOCAL_RUNNER = (sys.executable, str(REPO_DIR / "local_runner.py"))
VERIFY = (sys.executable, "-m", "reefline", "verify")
# Few steps of a small model: a rerun looks up as many components as any other.
SMALL = (
    "demo.images=40",
    "trainer.num_steps=6",
    "trainer.steps_per_eval=3",
    "trainer.batch_size=4",
    "trainer.warmup_steps=2",
    "exporter.calibration_images=4",
    "gate.min_map=0.0",
    "gate.max_quantization_drop=1.0",
    "gate.max_regression=1.0",
)
SETTINGS = tuple(part for setting in SMALL for part in ("--set", setting))
# Python's warnings, and the log lines of TensorFlow, absl and logging.
FOREIGN = re.compile(
    r"Warning|WARNING|oneDNN|cuda|TF-TRT|absl|tensorflow/|site-packages|Traceback|^[IWEF]\d{4} |^(INFO|ERROR|DEBUG):"
)

EMPTY_PIPELINE = """
import sys
from tfx import v1 as tfx

@tfx.dsl.components.component
def Nothing() -> None:
    pass

folder = sys.argv[1]
tfx.orchestration.LocalDagRunner().run(
    tfx.dsl.Pipeline(
        pipeline_name="empty",
        pipeline_root=f"{folder}/artifacts",
        components=[Nothing()],
        enable_cache=True,
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(f"{folder}/metadata.db"),
    )
)
"""


@dataclass(frozen=True)
class Timed:
    """Seconds from the command to the line that was waited for and to the end, and the command's output."""

    line_s: float
    end_s: float
    lines: tuple[str, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workspace", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reefline-startup-") as folder:
        measure(arguments.workspace or Path(folder) / "workspace", Path(folder), arguments.rounds)


def measure(workspace: Path, work_dir: Path, rounds: int) -> None:
    """Fill the caches of both sides, measure them in turn, and print the medians."""
    empty = work_dir / "empty.py"
    empty.write_text(EMPTY_PIPELINE, encoding="utf-8")
    sides = {
        "TFX": (sys.executable, str(empty), str(work_dir)),
        "rerun": (*LOCAL_RUNNER, "--workspace", str(workspace), *SETTINGS),
        "verify": (
            *VERIFY,
            "--data",
            str(workspace / "demo_data"),
            "--config",
            str(REPO_DIR / "configs" / "demo.yaml"),
        ),
    }
    complete = [time_command(sides["rerun"], " "), time_command(sides["verify"], " images: ")]
    time_command(sides["TFX"], " ")
    print(f"load average before the rounds: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    timed: dict[str, list[Timed]] = {name: [] for name in sides}
    for number in range(1, rounds + 1):
        timed["TFX"].append(time_command(sides["TFX"], ""))
        timed["rerun"].append(time_command(sides["rerun"], "run: "))
        timed["verify"].append(time_command(sides["verify"], " images: ", stop_there=True))
        print(
            f"round {number}: " + ", ".join(f"{name} {times[-1].end_s:.1f} s" for name, times in timed.items()),
            flush=True,
        )
    tfx, rerun = (statistics.median(times.end_s for times in timed[name]) for name in ("TFX", "rerun"))
    print(f"empty TFX pipeline   {tfx:5.1f} s")
    print(f"unchanged rerun      {rerun:5.1f} s   {rerun / tfx:.2f}x (target 8 s and 0.5x)")
    print(f"  to its first line  {statistics.median(run.line_s for run in timed['rerun']):5.2f} s (target 1 s)")
    print(f"verify, first fact   {statistics.median(run.line_s for run in timed['verify']):5.2f} s (target 3 s)")
    counted = (*complete, *timed["rerun"], *timed["verify"])
    foreign = [line for run in counted for line in run.lines if FOREIGN.search(line)]
    print(f"lines of libraries:  {len(foreign)} (target 0)", *foreign[:5], sep="\n  ")


def time_command(command: Sequence[str], awaited: str, *, stop_there: bool = False) -> Timed:
    """Run a command; `awaited` is a part of the line that is waited for, and `stop_there` ends the command at it.

    Raises:
        RuntimeError: the command failed, or did not print the line.
    """
    started_s = time.monotonic()
    line_s, lines = None, []
    with subprocess.Popen(
        command, cwd=REPO_DIR, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    ) as process:
        for line in process.stdout or ():
            lines.append(line.rstrip("\n"))
            if line_s is None and awaited in line:
                line_s = time.monotonic() - started_s
                if stop_there:
                    process.terminate()
    end_s = time.monotonic() - started_s
    if line_s is None or (process.returncode != 0 and not stop_there):
        raise RuntimeError("\n".join((f"{' '.join(command)} ended with {process.returncode}:", *lines[-20:])))
    return Timed(line_s, end_s, tuple(lines))


if __name__ == "__main__":
    main()
