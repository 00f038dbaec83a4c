"""Writes what a run leaves in reports/<run_id>: summary.json, then the page."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from pipeline.local.workspace import Workspace, point_latest_at
from reefline.lineage.store import read_run
from reefline.report.image_list import keep_image_list
from reefline.report.index_page import write_index
from reefline.report.run_artifacts import find_sources
from reefline.report.run_files import write_run_page
from reefline.report.run_page import PAGE_FILE, SUMMARY_FILE
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
            try:
                return write_run_page(records, config, workspace.root)
            except Exception:
                _LOGGER.exception("the review page failed")
                raise
    except (Exception, KeyboardInterrupt) as error:
        first_line = next(iter(str(error).splitlines()), "")
        return (f"{run_folder / PAGE_FILE}: cannot write the page ({type(error).__name__}: {first_line})",)


def update_index(workspace: Workspace, run_folder: Path) -> tuple[str, ...]:
    """Note which images the run saw, and write reports/index.html; return a message if that fails."""
    try:
        with send_noise_to(run_folder / "run.log"):
            ingestion = find_sources(read_run(workspace.metadata_db, run_folder.name), "").ingestion
            if ingestion is not None:
                keep_image_list(run_folder, ingestion.records)
            write_index(workspace.reports, workspace.serving)
    except (Exception, KeyboardInterrupt) as error:
        first_line = next(iter(str(error).splitlines()), "")
        return (f"{workspace.reports / PAGE_FILE}: cannot write the page ({type(error).__name__}: {first_line})",)
    return ()
