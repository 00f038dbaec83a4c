"""reports/index.html: all runs, the mAP over runs, what serves, and the facts to compare two runs with.

The chart is a template with one polyline per model and precision: every run adds a point, and importing matplotlib
would make a run whose components are all cached take seconds longer.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reefline.bundle.store import read_current
from reefline.errors import UserError
from reefline.evaluation.scores import CocoMetrics
from reefline.report.comparison import make_comparison
from reefline.report.image_list import ImageChanges
from reefline.report.page import as_json_block, assemble_plain
from reefline.report.run_facts import RunFacts, read_all_runs
from reefline.report.run_folder import PAGE_FILE, SUMMARY_FILE
from reefline.report.section import render
from reefline.report.summary import Verdict
from reefline.system.files import write_whole
from reefline.system.terminal import format_duration

_CHART_WIDTH, _CHART_HEIGHT = 480, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 12, 26
_AXIS_STEP = 0.1


@dataclass(frozen=True)
class IndexRow:
    """One run as the table shows it; numbers are fractions, None if not measured.

    `change` is the shipped model's mAP minus that of `compared_with`, the last measured run of the same model.
    `page` and `summary` are relative addresses, "" if the file does not exist.
    """

    run_id: str
    started: str
    model: str
    verdict: Verdict | None
    remark: str
    map_float: float | None
    map_int8: float | None
    map_50: float | None
    change: float | None
    compared_with: str
    version: int | None
    serves: bool
    duration: str
    page: str
    summary: str


@dataclass(frozen=True)
class ServingModel:
    """What serves of a model: `version` None and a `problem` if CURRENT is damaged.

    `run_id` is the run that pushed it, "" if unknown; `page` is its relative address, "" if the file does not exist.
    """

    model: str
    version: int | None
    run_id: str
    page: str
    problem: str


@dataclass(frozen=True)
class ChartLine:
    """One precision's mAP over the runs of a model, in the chart's coordinates."""

    name: str
    points: str
    dots: tuple[tuple[float, float, str], ...]


@dataclass(frozen=True)
class ModelChart:
    """A model's chart: `grid` has the height and the value of each line across."""

    model: str
    description: str
    width: int
    height: int
    left: int
    right: int
    grid: tuple[tuple[float, str], ...]
    lines: tuple[ChartLine, ...]
    first: str
    last: str


def write_index(reports: Path, serving: Path) -> None:
    """Write reports/index.html from the summaries in `reports`; `serving` is the push destination.

    Raises:
        OSError: the folder cannot be read, or the disk is full.
    """
    # A folder's name may not be UTF-8; JSON in a summary may hold half a character.
    write_whole(reports / PAGE_FILE, render_index(reports, serving).encode("utf-8", "replace"))


def render_index(reports: Path, serving: Path, *, live: bool = False) -> str:
    """Return the page; a `live` one, which only `reefline report --serve` shows, follows a run under way.

    Raises:
        OSError: the folder cannot be read.
    """
    runs, steps = read_all_runs(reports)
    return assemble_index(runs, steps, reports, serving, live=live)


def assemble_index(
    runs: Sequence[RunFacts], steps: Sequence[ImageChanges | None], reports: Path, serving: Path, *, live: bool = False
) -> str:
    """Return the page for runs, oldest first, and the changes of images between neighbours."""
    current = list_serving(runs, reports, serving)
    body = render(
        "index.html",
        rows=list_rows(runs, reports, {one.model: one.version for one in current})[::-1],
        models=sorted({run.summary.model for run in runs if run.summary and run.summary.model}),
        serving=current,
        charts=make_charts(runs),
        comparison=as_json_block("comparison-data", make_comparison(runs, steps)),
        live=live,
    )
    return assemble_plain("All runs", body, scripts=("index.js", *(("live.js",) if live else ())), live=live)


def list_rows(runs: Sequence[RunFacts], reports: Path, serving_versions: dict[str, int | None]) -> list[IndexRow]:
    """Return one row per run, in the order of `runs`, which is oldest first."""
    rows = []
    last: dict[str, tuple[str, float]] = {}
    for run in runs:
        summary = run.summary
        shipped = summary.metrics.shipped if summary else None
        before = last.get(summary.model) if summary else None
        value = shipped.map if shipped else None
        version = summary.pushed.version if summary and summary.pushed else None
        rows.append(
            IndexRow(
                run_id=run.run_id,
                started=run.started,
                model=summary.model if summary else "",
                verdict=summary.verdict if summary else None,
                remark=_remark(run),
                map_float=_map(summary.metrics.float_model if summary else None),
                map_int8=_map(summary.metrics.int8 if summary else None),
                map_50=shipped.map_50 if shipped else None,
                change=value - before[1] if before and value is not None else None,
                compared_with=before[0] if before else "",
                version=version,
                serves=summary is not None and version is not None and serving_versions.get(summary.model) == version,
                duration=format_duration(summary.seconds) if summary else "",
                page=_address(reports, run.run_id, PAGE_FILE),
                summary=_address(reports, run.run_id, SUMMARY_FILE),
            )
        )
        if summary and value is not None:
            last[summary.model] = (run.run_id, value)
    return rows


def list_serving(runs: Sequence[RunFacts], reports: Path, serving: Path) -> tuple[ServingModel, ...]:
    """Return what serves of every model in the push destination."""
    models = sorted(path.name for path in serving.iterdir() if path.is_dir()) if serving.is_dir() else []
    found = []
    for model in models:
        try:
            version, problem = read_current(serving, model), ""
        except UserError as error:
            version, problem = None, error.problems[0]
        if version is None and not problem:
            continue
        # The first run that pushed it: later ones with the same bundle found it there.
        run_id = next((run.run_id for run in runs if version is not None and _pushed(run, model) == version), "")
        found.append(
            ServingModel(model, version, run_id, _address(reports, run_id, PAGE_FILE) if run_id else "", problem)
        )
    return tuple(found)


def make_charts(runs: Sequence[RunFacts]) -> list[ModelChart]:
    """Return a chart for each model with at least two measured runs."""
    by_model: dict[str, list[RunFacts]] = {}
    for run in runs:
        if run.summary and run.summary.metrics.shipped and run.summary.metrics.shipped.map is not None:
            by_model.setdefault(run.summary.model, []).append(run)
    return [_make_chart(model, measured) for model, measured in sorted(by_model.items()) if len(measured) > 1]


def _make_chart(model: str, runs: Sequence[RunFacts]) -> ModelChart:
    measured = [run.summary.metrics for run in runs if run.summary]
    values = {
        "int8": [_map(metrics.int8) for metrics in measured],
        "float": [_map(metrics.float_model) for metrics in measured],
    }
    known = [value for series in values.values() for value in series if value is not None]
    low = max(0, int(min(known) / _AXIS_STEP))
    high = max(low + 1, -int(-max(known) // _AXIS_STEP))

    def place(index: int, value: float) -> tuple[float, float]:
        x = _LEFT + (_CHART_WIDTH - _LEFT - _RIGHT) * index / (len(runs) - 1)
        return round(x, 1), round(_height(value, low, high), 1)

    lines = []
    for name, series in values.items():
        dots = [(*place(i, v), f"{runs[i].run_id}: {name} mAP {v:.4f}") for i, v in enumerate(series) if v is not None]
        if dots:
            lines.append(ChartLine(name, " ".join(f"{x},{y}" for x, y, _ in dots), tuple(dots)))
    grid = tuple((round(_height(i * _AXIS_STEP, low, high), 1), f"{i * _AXIS_STEP:.1f}") for i in range(low, high + 1))
    shipped = [metrics.shipped.map for metrics in measured if metrics.shipped and metrics.shipped.map is not None]
    description = (
        f"mAP of {len(runs)} runs, oldest first: from {shipped[0]:.3f} to {shipped[-1]:.3f}, "
        f"lowest {min(shipped):.3f}, highest {max(shipped):.3f}."
    )
    right = _CHART_WIDTH - _RIGHT
    first, last = runs[0].started[:10], runs[-1].started[:10]
    return ModelChart(model, description, _CHART_WIDTH, _CHART_HEIGHT, _LEFT, right, grid, tuple(lines), first, last)


def _height(value: float, low: int, high: int) -> float:
    """Return the y of a value on an axis from `low` to `high` steps."""
    share = (value / _AXIS_STEP - low) / (high - low)
    return _TOP + (_CHART_HEIGHT - _TOP - _BOTTOM) * (1 - share)


def _remark(run: RunFacts) -> str:
    if run.summary is None:
        return run.problem
    if run.summary.stopped_at:
        return f"stopped at {run.summary.stopped_at}"
    failed = [result.rule for result in run.summary.gate if not result.passed]
    return f"failed: {', '.join(failed)}" if failed else ""


def _pushed(run: RunFacts, model: str) -> int | None:
    summary = run.summary
    return summary.pushed.version if summary and summary.pushed and summary.model == model else None


def _map(metrics: CocoMetrics | None) -> float | None:
    return metrics.map if metrics else None


def _address(reports: Path, run_id: str, name: str) -> str:
    return f"{_quote(run_id)}/{name}" if (reports / run_id / name).is_file() else ""


def _quote(run_id: str) -> str:
    """Return a folder's name as a relative address; the dot keeps "javascript:…" from being a scheme."""
    return f"./{urllib.parse.quote(run_id, errors='surrogateescape')}"
