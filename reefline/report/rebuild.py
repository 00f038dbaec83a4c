"""Pages and missing summaries made anew from ML Metadata and the artifacts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reefline.config.run_config import load_config
from reefline.errors import ConfigError, RecordError, UserError
from reefline.lineage.records import ExecutionState, RunRecord
from reefline.lineage.store import read_run
from reefline.report.collect import EarlyEnd, collect
from reefline.report.live import find_run_under_way
from reefline.report.run_facts import CONFIG_FILE, PAGE_FILE, SUMMARY_FILE
from reefline.report.run_files import rewrite_run_page
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
    for run_id in run_ids:
        page = workspace / "reports" / run_id / PAGE_FILE
        if run_id == under_way:
            yield RebuiltRun(run_id, page, ("is under way; its page is written when it ends",))
            continue
        try:
            problems = _rebuild(workspace, run_id)
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
        try:
            return Summary.read(path)
        except RecordError as error:
            raise RecordError(*(f"{one}; delete the file to restore it" for one in error.problems)) from error
    if run_id == find_run_under_way(workspace):
        raise RecordError(f"{run_id}: is under way; follow it with `reefline report --serve`")
    return _restore_summary(workspace, run_id)


def _rebuild(workspace: Path, run_id: str) -> tuple[str, ...]:
    folder = workspace / "reports" / run_id
    summary = read_or_restore_summary(workspace, run_id)
    if not (folder / SUMMARY_FILE).is_file():
        summary.write(folder / SUMMARY_FILE)
    if summary.seconds and read_run(workspace / "metadata.db", run_id) is None:
        return ("ML Metadata does not know this run any more; its page stays as it is",)
    return rewrite_run_page(workspace, run_id)


def _restore_summary(workspace: Path, run_id: str) -> Summary:
    folder = workspace / "reports" / run_id
    run = read_run(workspace / "metadata.db", run_id)
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
