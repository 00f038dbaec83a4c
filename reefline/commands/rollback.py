"""`reefline rollback`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reefline.commands.options import DEFAULT_WORKSPACE, WorkspaceOption
from reefline.errors import UsageError
from reefline.system.terminal import say


def rollback(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="the model; required if the workspace serves several")
    ] = "",
) -> None:
    """Roll back to the previous version."""
    from reefline.bundle import store

    destination = workspace / "serving"
    record = store.rollback(destination, model or _find_only_model(destination))
    say(
        f"Rolled back {record.model} to version {record.serving_version}; "
        f"version {record.withdrawn_version} is withdrawn."
    )


def _find_only_model(destination: Path) -> str:
    """Return the one model that is served.

    Raises:
        UsageError: there is none, or more than one.
    """
    names = sorted(path.name for path in destination.iterdir() if path.is_dir()) if destination.is_dir() else []
    if len(names) == 1:
        return names[0]
    if not names:
        raise UsageError(f"{destination}: no model is served here; pass --workspace DIR")
    raise UsageError(f"{destination}: {len(names)} models are served ({', '.join(names)}); pass --model NAME")
