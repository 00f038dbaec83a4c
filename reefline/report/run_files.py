"""Writes the page of a run into its folder, when it ends or anew."""

from __future__ import annotations

from pathlib import Path

from reefline.config.run_config import load_config
from reefline.errors import ConfigError, RecordError
from reefline.lineage.records import RunRecord
from reefline.report.collect import EarlyEnd, collect
from reefline.report.environment import ENVIRONMENT_FILE, Environment, read_environment
from reefline.report.image_list import keep_image_list
from reefline.report.reviewed_run import EarlierRun, ReviewedRun
from reefline.report.run_folder import CONFIG_FILE, PAGE_FILE, SUMMARY_FILE
from reefline.report.run_history import RunHistory
from reefline.report.run_page import make_run_page
from reefline.report.summary import RunRecords, Summary
from reefline.system.files import write_whole


def write_run_page(records: RunRecords, config: str, workspace: Path) -> tuple[str, ...]:
    """Write <workspace>/reports/<run_id>/index.html; return one message per part that could not be made.

    `config` is the effective RunConfig as JSON, "" without one. What this process runs on is kept next to the page.

    With a damaged metadata.db, the page has what the records hold.

    Raises:
        RecordError: an artifact is damaged.
        OSError: the page cannot be written.
    """
    history = RunHistory(workspace)
    environment = read_environment()
    environment.write(history.reports / records.run_id / ENVIRONMENT_FILE)
    return _write(records, config, history, environment, remake=False)


def rewrite_run_page(history: RunHistory, run_id: str) -> tuple[str, ...]:
    """Write the page of an earlier run anew, from ML Metadata, its artifacts, summary.json and config.yaml.

    Raises:
        RecordError: summary.json, metadata.db or an artifact is missing or damaged.
        OSError: the page cannot be written.
    """
    folder = history.reports / run_id
    summary = Summary.read(folder / SUMMARY_FILE)
    run = history.read(run_id)
    end = EarlyEnd(summary.failure, summary.data.findings, summary.edgetpu) if summary.failure else None
    records = collect(run_id, summary.model, summary.seconds, run.outputs if run else {}, end)
    return _write(records, _read_config(folder / CONFIG_FILE), history, _recall_environment(folder), remake=True)


def _write(
    records: RunRecords, config: str, history: RunHistory, environment: Environment | None, *, remake: bool
) -> tuple[str, ...]:
    """Write the page; `remake` is as in `read_or_make_sections`."""
    folder = history.reports / records.run_id
    run, earlier, unread = _look_up(history, records, remake=remake)
    reviewed = ReviewedRun(
        records=records,
        workspace=history.workspace,
        environment=environment,
        config=config,
        date=_describe_start(run),
        run=run,
        earlier=earlier,
    )
    page, problems = make_run_page(reviewed, folder, remake=remake)
    write_whole(folder / PAGE_FILE, page)
    ingestion = reviewed.sources.ingestion
    if ingestion is not None:
        try:
            keep_image_list(folder, ingestion.records)
        except RecordError as error:
            problems += error.problems
    return (*unread, *problems)


def _look_up(
    history: RunHistory, records: RunRecords, *, remake: bool
) -> tuple[RunRecord | None, EarlierRun | None, tuple[str, ...]]:
    """Return the run, the one before it, and why they cannot be read: a new page does without, an old one stays."""
    try:
        return history.read(records.run_id), history.find_earlier(records.run_id, records.model), ()
    except RecordError as error:
        if remake:
            raise
        return None, None, error.problems


def _recall_environment(folder: Path) -> Environment | None:
    """Return what a run ran on, None if that was not kept: another machine may make its page anew."""
    try:
        return Environment.read(folder / ENVIRONMENT_FILE)
    except RecordError:
        return None


def _read_config(path: Path) -> str:
    """Return a kept config as JSON, "" if there is none that is still valid."""
    try:
        return load_config(path).to_json()
    except ConfigError:
        return ""


def _describe_start(run: RunRecord | None) -> str:
    """Return when a run began, in local time, "" if it ran no component."""
    return run.started.astimezone().strftime("%Y-%m-%d %H:%M %Z") if run else ""
