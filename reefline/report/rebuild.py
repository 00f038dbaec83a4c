"""Pages and missing summaries made anew from ML Metadata and the artifacts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reefline.config.run_config import load_config
from reefline.errors import ConfigError, RecordError, UserError
from reefline.lineage.records import ExecutionState, RunRecord
from reefline.report.collect import EarlyEnd, collect
from reefline.report.live import find_run_under_way
from reefline.report.run_files import rewrite_run_page
from reefline.report.run_folder import CONFIG_FILE, PAGE_FILE, SUMMARY_FILE
from reefline.report.run_history import RunHistory
from reefline.report.summary import Failure, Summary

_UNFINISHED = (ExecutionState.FAILED, ExecutionState.RUNNING)


@dataclass(frozen=True)
class RebuiltRun:
    """A run's page; `problems` are why it, or a part of it, could not be made anew: the old one then stays."""

    run_id: str
    page: Path
    problems: tuple[str, ...] = ()


def rebuild_runs(workspace: Path, run_ids: Sequence[str]) -> Iterator[RebuiltRun]:
    """Rebuild the pages of runs one by one; a run under way is left alone."""
    under_way = find_run_under_way(workspace)
    history = RunHistory(workspace, at_once=len(run_ids) > 1)
    for run_id in run_ids:
        page = workspace / "reports" / run_id / PAGE_FILE
        if run_id == under_way:
            yield RebuiltRun(run_id, page, ("is under way; its page is written when it ends",))
            continue
        try:
            problems = _rebuild(history, run_id)
        except UserError as error:
            problems = error.problems
        except OSError as error:
            problems = (f"{error.filename or page}: {error.strerror}",)
        yield RebuiltRun(run_id, page, problems)


def read_or_restore_summary(workspace: Path, run_id: str) -> Summary:
    """Return a run's summary, from ML Metadata and the artifacts if summary.json is missing.

    Raises:
        RecordError: it is damaged; or it is missing, and the run is under way or unknown to ML Metadata.
    """
    path = workspace / "reports" / run_id / SUMMARY_FILE
    if path.is_file():
        return _read_summary(path)
    if run_id == find_run_under_way(workspace):
        raise RecordError(f"{run_id}: is under way; follow it with `reefline report --serve`")
    return _restore_summary(RunHistory(workspace), run_id)


def _read_summary(path: Path) -> Summary:
    try:
        return Summary.read(path)
    except RecordError as error:
        raise RecordError(*(f"{one}; delete the file to restore it" for one in error.problems)) from error


def _rebuild(history: RunHistory, run_id: str) -> tuple[str, ...]:
    folder = history.reports / run_id
    path = folder / SUMMARY_FILE
    summary = _read_summary(path) if path.is_file() else _restore_summary(history, run_id)
    if not path.is_file():
        summary.write(path)
        history.add(run_id, summary.model)
    if summary.seconds and history.read(run_id) is None:
        return ("ML Metadata does not know this run any more; its page stays as it is",)
    return rewrite_run_page(history, run_id)


def _restore_summary(history: RunHistory, run_id: str) -> Summary:
    folder = history.reports / run_id
    run = history.read(run_id)
    if run is None:
        raise RecordError(
            f"{folder / SUMMARY_FILE}: missing, and ML Metadata does not know the run: nothing to rebuild"
        )
    try:
        model = load_config(folder / CONFIG_FILE).model_name
    except ConfigError:
        model = ""
    seconds = {one.component: (one.ended - one.started).total_seconds() for one in run.executions if one.ended}
    return Summary.from_records(collect(run_id, model, seconds, run.outputs, _find_end(run)))


def _find_end(run: RunRecord) -> EarlyEnd | None:
    """Return where a run without a summary stopped; None if it reached its verdict. Its message is lost."""
    stopped = next((one for one in reversed(run.executions) if one.state in _UNFINISHED), None)
    if stopped is None and "Pusher.pushed_model" in run.outputs:
        return None
    last = stopped or next(reversed(run.executions), None)
    message = "stopped without leaving a report, as after `kill -9`; run.log next to this page has its output"
    return EarlyEnd(Failure(last.component if last else "", message))
