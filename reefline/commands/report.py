"""`reefline report`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated, Optional

import typer

from reefline.commands.options import DEFAULT_WORKSPACE, WorkspaceOption
from reefline.errors import UsageError, UserError
from reefline.system.terminal import say, send_noise_to

DEFAULT_PORT = 8000
_LISTED_RUNS = 5

RunArgument = Annotated[Optional[str], typer.Argument(metavar="RUN_ID", help="one run; default: all")]
TextOption = Annotated[
    bool, typer.Option("--text", help="print a run's verdict, rules, data and metrics; default: the newest run")
]
ServeOption = Annotated[
    bool, typer.Option("--serve", help="show the pages and a run under way on 127.0.0.1 until Ctrl-C")
]
PortOption = Annotated[
    int, typer.Option("--port", metavar="N", min=0, max=65535, help="the port of --serve; 0 for any free one")
]


def report(
    run_id: RunArgument = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    text: TextOption = False,
    serve: ServeOption = False,
    port: PortOption = DEFAULT_PORT,
) -> None:
    """Rebuild the review pages from the artifacts, print a run, or serve the pages on this machine."""
    if serve and (text or run_id):
        raise UsageError("--serve shows all runs: leave out --text and RUN_ID")
    reports = workspace / "reports"
    if not reports.is_dir():
        raise UsageError(f"{workspace}: no runs here; pass --workspace DIR")
    if serve:
        _serve(workspace, port)
    elif text:
        _print(workspace, run_id)
    else:
        _rebuild(workspace, run_id)


def _serve(workspace: Path, port: int) -> None:
    """Serve until Ctrl-C, which is how a server ends: exit code 0."""
    from reefline.report.server import ReportServer

    # ML Metadata's C++ code reports what it reads to standard error.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with ReportServer(workspace, port) as server:
        say(f"Serving {workspace / 'reports'} on {server.url} (Ctrl-C to stop)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("Stopped.")


def _print(workspace: Path, run_id: str | None) -> None:
    from reefline.report.rebuild import read_or_restore_summary
    from reefline.report.text import VERDICT_COLOURS, describe_run

    folder = _find_run(workspace / "reports", run_id)
    summary = read_or_restore_summary(workspace, folder.name)
    for line in describe_run(summary, folder, workspace / "serving"):
        say(line, VERDICT_COLOURS)


def _rebuild(workspace: Path, run_id: str | None) -> None:
    from reefline.report.index_page import write_index
    from reefline.report.rebuild import rebuild_runs
    from reefline.report.run_folder import list_run_folders

    reports = workspace / "reports"
    folders = list_run_folders(reports) if run_id is None else [_find_run(reports, run_id)]
    failed = False
    with tempfile.TemporaryDirectory(prefix="reefline-report-") as scratch, send_noise_to(Path(scratch) / "noise.log"):
        for rebuilt in rebuild_runs(workspace, [folder.name for folder in folders]):
            for problem in rebuilt.problems:
                say(f"{rebuilt.run_id}: {problem}")
            if not rebuilt.problems:
                say(f"{rebuilt.run_id}: {rebuilt.page}")
            failed = failed or bool(rebuilt.problems)
        write_index(reports, workspace / "serving")
    say(f"index: {reports / 'index.html'}")
    if failed:
        raise typer.Exit(UserError.exit_code)


def _find_run(reports: Path, run_id: str | None) -> Path:
    """Return the folder of a run, by default the newest.

    Raises:
        UsageError: it does not exist, or there are none.
    """
    from reefline.report.run_folder import list_run_folders, run_order

    folders = sorted(list_run_folders(reports), key=lambda folder: run_order(folder.name))
    if not folders:
        raise UsageError(f"{reports}: no runs here; pass --workspace DIR")
    if run_id is None:
        return folders[-1]
    found = next((folder for folder in folders if folder.name == run_id), None)
    if found is None:
        newest = ", ".join(folder.name for folder in reversed(folders[-_LISTED_RUNS:]))
        raise UsageError(f"{run_id}: no such run in {reports}; the newest are {newest}")
    return found
