"""The command line of local_runner.py."""

from __future__ import annotations

import datetime

import typer

from reefline.commands.options import (
    DEFAULT_WORKSPACE,
    ConfigOption,
    DataOption,
    MinutesOption,
    OverridesOption,
    WorkspaceOption,
)
from reefline.commands.usage_errors import needs
from reefline.config.run_request import RunRequest
from reefline.system.extras import Extra
from reefline.system.terminal import say

_HELP = """\
Train, evaluate, gate and push an object detector from images with Pascal VOC annotations.

Without arguments: configs/demo.yaml on generated data. With --data: your images, and a config recommended for them.
"""
_EXIT_CODES = (
    "Exit codes: 0 blessed and pushed; 3 refused by the gate, nothing pushed; 2 bad usage, config or data; "
    "1 unexpected error."
)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(cls=needs(Extra.PIPELINE), help=_HELP, epilog=_EXIT_CODES)
def run(
    config: ConfigOption = None,
    data: DataOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    minutes: MinutesOption = None,
    overrides: OverridesOption = None,
) -> None:
    """Run the pipeline and exit with the code of its outcome."""
    from pipeline.local.workspace import make_run_folder, open_workspace
    from reefline.errors import UserError

    try:
        opened = open_workspace(workspace)
        run_folder = make_run_folder(opened, datetime.datetime.now())
        # Before the rest is imported: the first line comes at once.
        say(f"run: {run_folder.name} in {workspace}")
        from pipeline.local.run import describe_outcome, run_pipeline
        from reefline.data.spans import describe_spans, join_folders
        from reefline.report.text import VERDICT_COLOURS

        data_dir = join_folders(data) if data else None
    except UserError as error:
        for problem in error.problems:
            say(f"error: {problem}")
        raise typer.Exit(error.exit_code) from error
    request = RunRequest(config_file=config, data_dir=data_dir, overrides=tuple(overrides or ()), minutes=minutes)
    if data and len(data) > 1:
        say(f"data: {describe_spans(data)}")
    outcome = run_pipeline(request, opened, run_folder)
    for line in describe_outcome(outcome, opened):
        say(line, VERDICT_COLOURS)
    raise typer.Exit(outcome.exit_code)
