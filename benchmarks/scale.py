"""Do time and memory of ingestion and validation stay in proportion when a data set is large?

    python benchmarks/scale.py [--images 5000 100000] [--side 64] [--folder DIR]

For each size, images are generated (two boxes each), and one process runs VocExampleGen, StatisticsGen and the
validators with ML Metadata in a new workspace; another runs the same components again, with nothing changed. That is
not a rerun of local_runner.py, which also looks up all other components: benchmarks/startup.py measures one.

Memory is that of a process and all that it started: data once, however many forks share them, and the mapped files of
the largest. It is read twice a second and misses shorter peaks; next to it stands the exact peak of the first process
alone (VmHWM).

From the smallest size to the largest, memory may grow by 150 MB and the components' seconds per image by 10 %; the
second process of the largest may take 25 s. Exit code 1 if a target is missed. The images stay in --folder, if it is
given, for the next time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPO_DIR = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPO_DIR), str(REPO_DIR / "benchmarks")]

MAX_GROWTH_MB = 150
MAX_SLOWER = 1.10
MAX_RERUN_S = 25.0
_CLASSES = ("disc", "square", "triangle")
_FILES_PER_FOLDER = 10_000
_SAMPLE_S = 0.5


@dataclass(frozen=True)
class Process:
    """What was used: seconds from start to exit, peak memory of all processes and the first, each component's s."""

    seconds: float
    peak_mb: float
    first_peak_mb: float
    component_seconds: dict[str, float]


def main() -> int:
    options = _parse_options()
    if options.child is not None:
        _run_child(*options.child)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        firsts, reruns = {}, {}
        for images in options.images:
            data = (options.folder or Path(scratch)) / f"images_{images}_{options.side}"
            generate(data, images, options.side)
            workspace = Path(scratch) / f"workspace_{images}"
            firsts[images] = _measure(data, workspace)
            reruns[images] = _measure(data, workspace)
            _print_process(f"{images:,} images", firsts[images])
            _print_process("the same again", reruns[images])
        return _judge(firsts, reruns)


def generate(folder: Path, images: int, side_px: int) -> None:
    """Write that many different JPEGs of `side_px`, with two boxes each; a folder that exists is used as it is."""
    import numpy as np
    from PIL import Image

    from reefline.formats.voc import format_voc_annotation
    from reefline.structures.annotation import AnnotatedObject, Annotation
    from reefline.structures.boxes import BoxXyxyPx

    if folder.is_dir():
        return
    making = folder.with_name(f".{folder.name}.part")
    random = np.random.default_rng(0)
    for number in range(images):
        if number % _FILES_PER_FOLDER == 0:
            part = making / f"{number // _FILES_PER_FOLDER:04d}"
            part.mkdir(parents=True)
        # Coarse random patches: all perceptual hashes differ.
        coarse = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        coarse.resize((side_px, side_px), Image.Resampling.BICUBIC).save(part / f"{number:08d}.jpg", quality=85)
        boxes = [BoxXyxyPx(at, at, at + side_px / 3, at + side_px / 3) for at in (2.0, side_px / 2)]
        objects = [AnnotatedObject(_CLASSES[(number + at) % 3], box) for at, box in enumerate(boxes)]
        annotation = Annotation(f"{number:08d}.jpg", side_px, side_px, tuple(objects))
        (part / f"{number:08d}.xml").write_bytes(format_voc_annotation(annotation))
    making.rename(folder)


def _measure(data: Path, workspace: Path) -> Process:
    command = [sys.executable, __file__, "--child", str(data), str(workspace)]
    peak_mb, started_s = 0.0, time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while True:
            # What it prints fits into the pipe.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_SAMPLE_S)
                break
            peak_mb = max(peak_mb, _read_memory_mb(process.pid))
        seconds = time.monotonic() - started_s
        printed = process.communicate()[0]
    if process.returncode != 0:
        raise SystemExit(f"{data}: the process ended with exit code {process.returncode}")
    return Process(seconds, peak_mb, **json.loads(printed.splitlines()[-1]))


def _read_memory_mb(pid: int) -> float:
    """Return the memory of a process and all below it: data that forks share and files that they map count once.

    Not the PSS, which is smaller while other programs on the machine map the same libraries.
    """
    tables = list(_read_memory_tables(pid))
    files_kb = max((table["Rss"] - table["Anonymous"] for table in tables), default=0)
    return (sum(table["Pss_Anon"] for table in tables) + files_kb) / 1024


def _read_memory_tables(pid: int) -> Iterator[dict[str, int]]:
    """Yield the numbers of /proc/PID/smaps_rollup (KiB) of a process and all below it that still run."""
    from reefline.system.memory import parse_memory_table

    folder = Path("/proc", str(pid))
    with contextlib.suppress(OSError):
        # The first line is a range of addresses; a process that is ending has no others.
        table = parse_memory_table((folder / "smaps_rollup").read_text().partition("\n")[2])
        children = [child for task in (folder / "task").iterdir() for child in (task / "children").read_text().split()]
        if "Pss_Anon" in table:
            yield table
        for child in children:
            yield from _read_memory_tables(int(child))


def _run_child(data: str, workspace: str) -> None:
    """Ingest and validate as a run does, and print what `Process` holds."""
    from ingestion import silence_libraries

    silence_libraries()
    from reefline.od_api import compat

    compat.apply()
    from reefline.settings import ValidationSettings
    from reefline.system.memory import parse_memory_table
    from tests.factories_ingestion import ingest

    started_ms = time.time() * 1e3
    run = ingest(Path(data), Path(workspace), validation=ValidationSettings())
    seconds = {}
    types = {kind.id: kind.name.rpartition(".")[2] for kind in run.store.get_execution_types()}
    for execution in run.store.get_executions():
        if execution.create_time_since_epoch >= started_ms:
            used_ms = execution.last_update_time_since_epoch - execution.create_time_since_epoch
            seconds[types[execution.type_id]] = used_ms / 1e3
    # getrusage counts the peak of the process that started this one, too.
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"first_peak_mb": parse_memory_table(line)["VmHWM"] / 1024, "component_seconds": seconds}))


def _print_process(what: str, used: Process) -> None:
    parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in used.component_seconds.items())
    print(
        f"{what:20}{used.seconds:8.1f} s{used.peak_mb:8.0f} MB (first process {used.first_peak_mb:.0f} MB)   {parts}",
        flush=True,
    )


def _judge(firsts: dict[int, Process], reruns: dict[int, Process]) -> int:
    small, large = min(firsts), max(firsts)
    growth_mb = firsts[large].peak_mb - firsts[small].peak_mb
    per_image = {images: sum(used.component_seconds.values()) / images for images, used in firsts.items()}
    slower = per_image[large] / per_image[small]
    rerun_s = reruns[large].seconds
    print(f"memory of {large:,} images: {growth_mb:+.0f} MB (target {MAX_GROWTH_MB})")
    print(f"seconds per image: {slower:.2f} times those of {small:,} images (target {MAX_SLOWER:g})")
    print(f"rerun of these components: {rerun_s:.1f} s (target {MAX_RERUN_S:g})")
    return int(growth_mb > MAX_GROWTH_MB or slower > MAX_SLOWER or rerun_s > MAX_RERUN_S)


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure ingestion and validation of large data sets.")
    parser.add_argument("--images", type=int, nargs="+", default=[5000, 100_000])
    parser.add_argument("--side", type=int, default=64, help="width and height of the images in px")
    parser.add_argument("--folder", type=Path, help="where the images are kept")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
