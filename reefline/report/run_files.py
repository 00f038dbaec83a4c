"""Writes the page of a run into its folder, when it ends or anew."""

from __future__ import annotations

from pathlib import Path

from reefline.config.run_config import load_config
from reefline.errors import ConfigError, RecordError
from reefline.lineage.records import RunRecord
from reefline.lineage.store import read_run
from reefline.report.collect import EarlyEnd, collect
from reefline.report.environment import ENVIRONMENT_FILE, Environment, read_environment
from reefline.report.image_list import keep_image_list
from reefline.report.reviewed_run import ReviewedRun
from reefline.report.run_artifacts import find_sources
from reefline.report.run_facts import CONFIG_FILE, PAGE_FILE, SUMMARY_FILE
from reefline.report.run_page import find_earlier_run, make_run_page
from reefline.report.summary import RunRecords, Summary
from reefline.system.files import write_whole

_METADATA_DB = "metadata.db"
_REPORTS = "reports"


def write_run_page(records: RunRecords, config: str, workspace: Path, *, remake: bool = False) -> tuple[str, ...]:
    """Write <workspace>/reports/<run_id>/index.html; return one message per part that could not be made.

    `config` is the effective RunConfig as JSON, "" without one. What the run ran on is read once, then kept. `remake`
    is as in `read_or_make_sections`.

    Raises:
        RecordError: metadata.db is damaged.
        OSError: the page cannot be written.
    """
    metadata_db, reports = workspace / _METADATA_DB, workspace / _REPORTS
    folder = reports / records.run_id
    run = read_run(metadata_db, records.run_id)
    reviewed = ReviewedRun(
        records=records,
        workspace=workspace,
        environment=_keep_environment(folder / ENVIRONMENT_FILE),
        config=config,
        date=_describe_start(run),
        run=run,
        earlier=find_earlier_run(reports, metadata_db, records.run_id, records.model),
    )
    page, problems = make_run_page(reviewed, folder, remake=remake)
    write_whole(folder / PAGE_FILE, page)
    ingestion = find_sources(run, config).ingestion
    if ingestion is not None:
        keep_image_list(folder, ingestion.records)
    return problems


def rewrite_run_page(workspace: Path, run_id: str) -> tuple[str, ...]:
    """Write the page of an earlier run anew, from ML Metadata, its artifacts, summary.json and config.yaml.

    Raises:
        RecordError: summary.json, metadata.db or an artifact is missing or damaged.
        OSError: the page cannot be written.
    """
    folder = workspace / _REPORTS / run_id
    summary = Summary.read(folder / SUMMARY_FILE)
    run = read_run(workspace / _METADATA_DB, run_id)
    end = EarlyEnd(summary.failure, summary.data.findings, summary.edgetpu) if summary.failure else None
    records = collect(run_id, summary.model, summary.seconds, run.outputs if run else {}, end)
    return write_run_page(records, _read_config(folder / CONFIG_FILE), workspace, remake=True)


def _keep_environment(path: Path) -> Environment:
    try:
        return Environment.read(path)
    except RecordError:
        environment = read_environment()
        environment.write(path)
        return environment


def _read_config(path: Path) -> str:
    """Return a kept config as JSON, "" if there is none that is still valid."""
    try:
        return load_config(path).to_json()
    except ConfigError:
        return ""


def _describe_start(run: RunRecord | None) -> str:
    """Return when a run began, in local time, "" if it ran no component."""
    return run.started.astimezone().strftime("%Y-%m-%d %H:%M %Z") if run else ""
