"""The command `reefline`: what is done beside a run of the pipeline. Nothing heavy is imported before it is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from reefline.errors import UserError

app = typer.Typer(
    name="reefline",
    help="Object detectors for the Coral Edge TPU: commands beside local_runner.py.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

WorkspaceOption = Annotated[Path, typer.Option("--workspace", metavar="DIR", help="the workspace of the runs")]


def main() -> None:
    """Run the command line; exit codes are those of local_runner.py."""
    app()


@app.callback()
def _root() -> None:
    """Object detectors for the Coral Edge TPU: commands beside local_runner.py."""


@app.command()
def doctor(workspace: WorkspaceOption = Path("workspace")) -> None:
    """Say what is missing or of the wrong version, and what to do."""
    from reefline.doctor import Health, examine

    checks = examine(workspace)
    for check in checks:
        remedy = f"\n         {check.remedy}" if check.remedy else ""
        typer.echo(f"{check.health.value:>7}  {check.name}: {check.found}{remedy}")
    problems = sum(check.health is Health.PROBLEM for check in checks)
    typer.echo(f"{problems} problem(s) found" if problems else "all that is required is there")
    if problems:
        raise typer.Exit(2)


def _fail(error: UserError) -> NoReturn:
    for problem in error.problems:
        typer.echo(f"error: {problem}", err=True)
    raise typer.Exit(error.exit_code)
