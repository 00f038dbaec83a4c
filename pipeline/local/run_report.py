"""Writes what a run leaves in reports/<run_id>: summary.json, then the page."""

from __future__ import annotations

import datetime
import json
import logging
from pathlib import Path

from pipeline.local.workspace import Workspace, point_latest_at
from reefline.lineage.records import RunRecord
from reefline.lineage.store import read_run
from reefline.report.environment import ENVIRONMENT_FILE, read_environment
from reefline.report.reviewed_run import ReviewedRun
from reefline.report.run_page import PAGE_FILE, SUMMARY_FILE, find_earlier_run, make_run_page
from reefline.report.summary import RunRecords, summarize
from reefline.system.files import write_whole
from reefline.system.terminal import send_noise_to

_LOGGER = logging.getLogger(__name__)


def write_summary(records: RunRecords, workspace: Workspace, run_folder: Path) -> tuple[str, ...]:
    """Write summary.json, completely or not at all; return a message if that fails."""
    target = run_folder / SUMMARY_FILE
    try:
        write_whole(target, json.dumps(summarize(records), indent=2, ensure_ascii=False) + "\n")
        point_latest_at(workspace, run_folder)
    except OSError as error:
        return (f"{target}: cannot write the report ({error.strerror})",)
    return ()


def write_page(records: RunRecords, config: str, workspace: Workspace, run_folder: Path) -> tuple[str, ...]:
    """Write index.html, completely or not at all; return a message for each part that is missing.

    `config` is the effective RunConfig as JSON, "" without one. A page that fails, or Ctrl-C meanwhile, never changes
    how a run ends.
    """
    try:
        with send_noise_to(run_folder / "run.log"):
            return _write_page(records, config, workspace, run_folder)
    except (Exception, KeyboardInterrupt) as error:
        first_line = next(iter(str(error).splitlines()), "")
        return (f"{run_folder / PAGE_FILE}: cannot write the page ({type(error).__name__}: {first_line})",)


def _write_page(records: RunRecords, config: str, workspace: Workspace, run_folder: Path) -> tuple[str, ...]:
    try:
        run = read_run(workspace.metadata_db, records.run_id)
        earlier = find_earlier_run(workspace.reports, workspace.metadata_db, records.run_id, records.model)
        environment = read_environment()
        environment.write(run_folder / ENVIRONMENT_FILE)
        date = _describe_start(run)
        page, problems = make_run_page(ReviewedRun(records, workspace.root, environment, config, date, run, earlier))
        write_whole(run_folder / PAGE_FILE, page)
    except Exception:
        _LOGGER.exception("the review page failed")
        raise
    return problems


def _describe_start(run: RunRecord | None) -> str:
    """Return when a run began, in local time; one without any component began just now."""
    started = run.started.astimezone() if run else datetime.datetime.now().astimezone()
    return started.strftime("%Y-%m-%d %H:%M %Z").strip()
