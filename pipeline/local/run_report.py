"""Writes what a run leaves in reports/<run_id>: summary.json, then the page."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from pipeline.local.workspace import Workspace, point_latest_at
from reefline.errors import WorkspaceError
from reefline.report.index_page import write_index
from reefline.report.run_files import write_run_page
from reefline.report.run_folder import PAGE_FILE, SUMMARY_FILE
from reefline.report.summary import RunRecords, format_summary
from reefline.system.files import write_whole
from reefline.system.terminal import send_noise_to

_LOGGER = logging.getLogger(__name__)


def write_summary(records: RunRecords, workspace: Workspace, run_folder: Path) -> tuple[str, ...]:
    """Write summary.json, completely or not at all; return a message if that fails."""
    target = run_folder / SUMMARY_FILE
    try:
        write_whole(target, format_summary(records))
        point_latest_at(workspace, run_folder)
    except OSError as error:
        return (f"{target}: cannot write the report ({error.strerror})",)
    except WorkspaceError as error:
        return error.problems
    return ()


def write_page(records: RunRecords, config: str, workspace: Workspace, run_folder: Path) -> tuple[str, ...]:
    """Write the run's page and the index of all runs; return a message for each part that is missing.

    `config` is the effective RunConfig as JSON, "" without one. A page that fails, or Ctrl-C meanwhile, never changes
    how a run ends, and the index needs no page.
    """

    def index() -> tuple[str, ...]:
        write_index(workspace.reports, workspace.serving)
        return ()

    log = run_folder / "run.log"
    return (
        *_try(lambda: write_run_page(records, config, workspace.root), run_folder / PAGE_FILE, log),
        *_try(index, workspace.reports / PAGE_FILE, log),
    )


def _try(write: Callable[[], tuple[str, ...]], page: Path, log: Path) -> tuple[str, ...]:
    """Return the messages of `write`, or one if it fails; the traceback goes to `log`."""
    try:
        with send_noise_to(log):
            try:
                return write()
            except Exception:
                _LOGGER.exception("the page %s failed", page)
                raise
    except (Exception, KeyboardInterrupt) as error:
        first_line = next(iter(str(error).splitlines()), "")
        return (f"{page}: cannot write the page ({type(error).__name__}: {first_line})",)
