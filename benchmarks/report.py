"""How long do the review pages take, how much memory, and how large are they?

    python benchmarks/report.py [--images 1000] [--runs 200] [--open PAGE ...]

The page of a run and the index are each made by a process of their own, imports included, from artifacts of a run that
never ran. `--open` also measures Chromium's load event for pages, for example the demo's. Exit code 1 if a target is
missed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

REPO_DIR = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO_DIR))

_CLASSES = tuple(f"class {letter}" for letter in "abcdefgh")
_ROUNDS = 3


@dataclass(frozen=True)
class Figure:
    """A measured value with its target: at most `limit`."""

    what: str
    value: float
    unit: str
    limit: float

    @property
    def is_met(self) -> bool:
        """Whether the target is met."""
        return self.value <= self.limit


def main() -> int:
    options = _parse_options()
    if options.child is not None:
        kind, folder = options.child
        (_make_page if kind == "page" else _make_index)(Path(folder))
        print(_read_peak_mb())
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        figures = [*measure_page(Path(scratch), options.images), *measure_index(Path(scratch), options.runs)]
        made = Path(scratch) / "run" / "index.html"
        figures += [
            Figure(f"opening {page.name} of {len(page.read_bytes()) / 1e6:.2f} MB", _open_s(page), "s", 1.0)
            for page in (made, *options.open)
        ]
    for figure in figures:
        missed = "" if figure.is_met else "  MISSED"
        print(f"{figure.what:44} {figure.value:8.2f} {figure.unit:3} (target {figure.limit:g}){missed}")
    return int(not all(figure.is_met for figure in figures))


def measure_page(scratch: Path, images: int) -> list[Figure]:
    """Return seconds, peak memory and size of the page of a run with that many eval images."""
    write_run(scratch / "run", images)
    seconds, peak_mb = _run_child("page", scratch / "run")
    size_mb = (scratch / "run" / "index.html").stat().st_size / 1e6
    about = f"page of {images:,} eval images"
    return [Figure(about, seconds, "s", 10), Figure(about, peak_mb, "MB", 500), Figure(about, size_mb, "MB", 3)]


def measure_index(scratch: Path, runs: int) -> list[Figure]:
    """Return the seconds for an index over runs that was never made before, and for the next one."""
    from reefline.report.image_list import keep_image_list
    from tests.factories import make_record
    from tests.factories_summary import make_blessed
    from tests.factories_summary import write_run as write_summary

    reports = scratch / "workspace" / "reports"
    config = (REPO_DIR / "configs" / "default.yaml").read_text(encoding="utf-8")
    for number in range(runs):
        folder = write_summary(
            reports, make_blessed(f"2026{number // 28 + 1:02d}{number % 28 + 1:02d}T120000"), config=config
        )
        records = scratch / "records.jsonl"
        kept = [make_record(f"{image}.jpg") for image in range(500 + number)]
        records.write_text("".join(f"{json.dumps(record.to_json())}\n" for record in kept), encoding="utf-8")
        keep_image_list(folder, records)
    cold, _ = _run_child(
        "index", scratch / "workspace", before=lambda: (reports / ".index.json").unlink(missing_ok=True)
    )
    warm, _ = _run_child("index", scratch / "workspace")
    return [Figure(f"index over {runs} runs, the first", cold, "s", 3), Figure("the same again", warm, "s", 3)]


def write_run(folder: Path, images: int) -> None:
    """Write what the components leave of a run with that many eval images and twice as many for training."""
    import numpy as np
    from PIL import Image

    from reefline.data.image_record import EVAL, ImageRecord
    from reefline.findings import Action, Finding
    from reefline.images.thumbnails import ThumbnailWriter
    from reefline.structures.artifacts import ScoresFolder
    from reefline.structures.boxes import BoxXyxyPx
    from tests.factories import make_object_record, make_record
    from tests.factories_data import write_ingestion, write_statistics
    from tests.factories_quality import make_split, write_scores
    from tests.factories_report import write_training_run

    split = make_split(images, _CLASSES)
    write_scores(folder / "scores", split, thumbnails=False)
    generator = np.random.default_rng(3)
    with ThumbnailWriter(ScoresFolder(folder / "scores").thumbnails) as writer:
        for image in split.images:
            # About as many bytes as the thumbnail of a photograph.
            coarse = Image.fromarray(generator.integers(0, 255, (30, 40, 3), dtype=np.uint8))
            fine = generator.integers(0, 40, (240, 320, 3), dtype=np.uint8)
            smooth = np.asarray(coarse.resize((320, 240), Image.Resampling.BICUBIC), dtype=np.int64)
            writer.add(image.name, Image.fromarray((smooth + fine).clip(0, 255).astype(np.uint8)))

    def record(name: str, number: int, **facts: str) -> ImageRecord:
        truth = split.ground_truth[number]
        objects = tuple(
            make_object_record(_CLASSES[label], index=index, box=BoxXyxyPx(*box))
            for index, (box, label) in enumerate(
                zip(truth.boxes_xyxy_px.tolist(), truth.class_indices.tolist(), strict=True)
            )
        )
        return make_record(name, width_px=640, height_px=480, objects=objects, **facts)

    records = [record(image.name, number, split=EVAL) for number, image in enumerate(split.images)]
    records += [record(f"train/{number}.jpg", number % images) for number in range(2 * images)]
    findings = [
        Finding(f"train/{number}.xml", 0, "box_outside_image", f"xmax {number} lies outside the image", Action.FIXED)
        for number in range(images // 2)
    ]
    write_ingestion(folder / "ingestion", records, findings, names=_CLASSES)
    for name, examples in (("train", 2 * images), ("eval", images)):
        write_statistics(folder / "statistics", name, examples=examples)
    write_training_run(folder / "model_run", steps=20_000)


def _make_page(folder: Path) -> None:
    """Do what ReviewReport and then the runner do."""
    from reefline.report.environment import read_environment
    from reefline.report.review import write_review
    from reefline.report.reviewed_run import ReviewedRun
    from reefline.report.run_page import make_run_page
    from reefline.report.sources import RunSources
    from reefline.structures.artifacts import ReviewFolder
    from tests.factories_lineage import make_artifact, make_execution, make_run
    from tests.factories_report import make_records

    sources = RunSources.from_roots(
        "",
        report=folder / "ingestion",
        statistics=folder / "statistics",
        model_run=folder / "model_run",
        scores=folder / "scores",
    )
    review = ReviewFolder(folder / "review")
    review.root.mkdir(exist_ok=True)
    write_review(sources, "benchmark", review)
    run = make_run(make_execution("ReviewReport", outputs={"review": make_artifact(review.root)}))
    reviewed = ReviewedRun(replace(make_records(), findings=()), folder, read_environment(), run=run)
    page, problems = make_run_page(reviewed, folder)
    if problems:
        raise RuntimeError("; ".join(problems))
    (folder / "index.html").write_text(page, encoding="utf-8")


def _make_index(workspace: Path) -> None:
    from reefline.report.index_page import write_index

    write_index(workspace / "reports", workspace / "serving")


def _run_child(kind: str, folder: Path, *, before: Callable[[], object] = lambda: None) -> tuple[float, float]:
    """Return the median seconds of a process, imports included, and its peak resident memory in MB."""
    seconds, peaks_mb = [], []
    for _ in range(_ROUNDS):
        before()
        started_s = time.monotonic()
        command = [sys.executable, __file__, "--child", kind, str(folder)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        seconds.append(time.monotonic() - started_s)
        peaks_mb.append(float(done.stdout.split()[-1]))
    return statistics.median(seconds), statistics.median(peaks_mb)


def _read_peak_mb() -> float:
    """Return this process's peak resident memory; getrusage counts that of the process that started it, too."""
    from reefline.system.memory import parse_memory_table

    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return parse_memory_table(line)["VmHWM"] / 1024


def _open_s(page: Path) -> float:
    """Return the median seconds to Chromium's load event."""
    from playwright.sync_api import sync_playwright

    found = []
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        for _ in range(_ROUNDS):
            tab = browser.new_page()
            tab.goto(page.resolve().as_uri(), wait_until="load")
            tab.wait_for_function("performance.getEntriesByType('navigation')[0].loadEventEnd > 0")
            found.append(tab.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd / 1000"))
            tab.close()
        browser.close()
    return statistics.median(found)


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the review pages.")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--open", type=Path, nargs="+", default=[], metavar="PAGE")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
