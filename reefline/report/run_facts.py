"""What the index shows of each run, and its memory: a run's files are read again only if they have changed."""

from __future__ import annotations

import contextlib
import datetime
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from reefline.data.reports import SplitCounts
from reefline.errors import RecordError
from reefline.evaluation.report import GateResult
from reefline.report.image_list import POINTER_FILE, ImageChanges, ImagePointer, compare_images, read_image_list
from reefline.report.run_folder import CONFIG_FILE, SUMMARY_FILE, TIME_CHARACTERS, list_run_folders, run_order
from reefline.report.summary import MetricsSummary, Pushed, Summary, Verdict
from reefline.system.files import write_whole
from reefline.system.record import Record

_MEMORY_FILE = ".index.json"
_READ_FILES = (SUMMARY_FILE, CONFIG_FILE, POINTER_FILE)
_RUN_ID_FORMAT = "%Y%m%dT%H%M%S"
_LONGEST_VALUE = 300
_LONGEST_PROBLEM = 300


@dataclass(frozen=True)
class SummaryFacts(Record):
    """The part of a summary that the index needs; `findings` are counts by rule."""

    model: str
    verdict: Verdict
    stopped_at: str
    splits: Mapping[str, SplitCounts]
    findings: Mapping[str, int]
    metrics: MetricsSummary
    gate: tuple[GateResult, ...]
    pushed: Pushed | None
    seconds: float


@dataclass(frozen=True)
class RunFacts(Record):
    """One folder in reports/; `started` is in local time, "" if neither the run's id nor its files tell.

    `summary` is None and `problem` explains it if summary.json is missing or damaged. `config` maps dotted names to
    values as text, None without a readable config. `image_list` is the digest of the run's images, "" if not kept.
    """

    run_id: str
    started: str
    summary: SummaryFacts | None
    problem: str
    config: Mapping[str, str] | None
    image_list: str


@dataclass(frozen=True)
class _Remembered(Record):
    """A run's facts, and the size and time of each file that they come from."""

    stamp: tuple[tuple[int, int] | None, ...]
    facts: RunFacts


@dataclass(frozen=True)
class IndexMemory(Record):
    """.index.json: runs by id, and what differs between two image lists, by "before after"."""

    format: Literal[1] = 1
    runs: Mapping[str, _Remembered] = field(default_factory=dict)
    changes: Mapping[str, ImageChanges | None] = field(default_factory=dict)


def read_all_runs(reports: Path) -> tuple[tuple[RunFacts, ...], tuple[ImageChanges | None, ...]]:
    """Return the runs, oldest first, and what changed in the images between each of them and the one before.

    A change is None if one of the two lists is unknown; the first run has one, too.

    Raises:
        OSError: the folder cannot be read.
    """
    memory = _read_memory(reports)
    remembered = {folder.name: _recall(folder, memory) for folder in list_run_folders(reports)}
    runs = sorted((one.facts for one in remembered.values()), key=lambda run: (run.started, run_order(run.run_id)))
    changes: dict[str, ImageChanges | None] = {}
    steps = []
    before = ""
    for run in runs:
        step = None
        if before and run.image_list:
            key = f"{before} {run.image_list}"
            step = changes.get(key) or memory.changes.get(key) or _compare(reports, before, run.image_list)
            changes[key] = step
        steps.append(step)
        before = run.image_list or before
    fresh = IndexMemory(runs=remembered, changes=changes)
    if fresh != memory:
        with contextlib.suppress(OSError):  # without it the next index only takes longer
            # On one line: indenting takes json's slow path, seconds for 200 runs.
            write_whole(reports / _MEMORY_FILE, json.dumps(fresh.to_json()))
    return tuple(runs), tuple(steps)


def read_run_facts(folder: Path) -> RunFacts:
    """Return what the index shows of a run; never fails, as a damaged file is itself such a fact."""
    summary, problem = _read_summary(folder)
    return RunFacts(
        run_id=folder.name,
        started=_find_start(folder),
        summary=summary,
        problem=problem,
        config=_read_config(folder / CONFIG_FILE),
        image_list=_read_pointer(folder),
    )


def flatten(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the values of nested mappings by dotted name, as one line of JSON each."""
    for key, value in record.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{name}.")
        else:
            text = json.dumps(value, ensure_ascii=False, default=str)
            yield name, text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _read_memory(reports: Path) -> IndexMemory:
    try:
        return IndexMemory.read(reports / _MEMORY_FILE)
    except RecordError:
        return IndexMemory()


def _recall(folder: Path, memory: IndexMemory) -> _Remembered:
    stamp = tuple(_stamp(folder / name) for name in _READ_FILES)
    known = memory.runs.get(folder.name)
    if known is not None and known.stamp == stamp:
        return known
    return _Remembered(stamp, read_run_facts(folder))


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _compare(reports: Path, before: str, after: str) -> ImageChanges | None:
    try:
        return compare_images(read_image_list(reports, before), read_image_list(reports, after))
    except RecordError:
        return None


def _read_summary(folder: Path) -> tuple[SummaryFacts | None, str]:
    path = folder / SUMMARY_FILE
    if not path.is_file():
        return None, "summary.json is missing: the run is under way, or was killed"
    try:
        summary = Summary.read(path)
    except RecordError as error:
        problem = error.problems[0].removeprefix(f"{path}: ")
        return None, f"summary.json cannot be read: {problem[:_LONGEST_PROBLEM]}"
    findings = Counter(finding.rule for finding in summary.data.findings)
    facts = SummaryFacts(
        model=summary.model,
        verdict=summary.verdict,
        stopped_at=summary.failure.component if summary.failure else "",
        splits=summary.data.splits,
        findings=dict(sorted(findings.items())),
        metrics=summary.metrics,
        gate=summary.gate,
        pushed=summary.pushed,
        seconds=sum(summary.seconds.values()),
    )
    return facts, ""


def _read_config(path: Path) -> dict[str, str] | None:
    if not path.is_file():
        return None
    import yaml

    from reefline.config.yaml_reader import FastConfigLoader

    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=FastConfigLoader)
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return None
    return dict(flatten(content)) if isinstance(content, dict) else None


def _read_pointer(folder: Path) -> str:
    try:
        return ImagePointer.read(folder / POINTER_FILE).digest
    except RecordError:
        return ""


def _find_start(folder: Path) -> str:
    """Return a run's start as ISO 8601 to the second: its id is the time, else the folder's own."""
    try:
        started = datetime.datetime.strptime(folder.name[:TIME_CHARACTERS], _RUN_ID_FORMAT)
    except ValueError:
        started = datetime.datetime.fromtimestamp(folder.stat().st_mtime)
    return started.isoformat(sep=" ", timespec="seconds")
