"""`reefline rollback`."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from reefline.commands.options import DEFAULT_WORKSPACE, PublicKeyOption, WorkspaceOption
from reefline.errors import UsageError
from reefline.storage.location import Location
from reefline.system.terminal import say


def rollback(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="the model; required if the workspace serves several")
    ] = "",
    serving: Annotated[
        str,
        typer.Option(
            metavar="URI", help="where bundles are pushed to, such as s3://bucket/serving; default: WORKSPACE/serving"
        ),
    ] = "",
    to: Annotated[
        Optional[int], typer.Option("--to", metavar="VERSION", min=1, help="the version that should serve")
    ] = None,
    public_key: PublicKeyOption = None,
) -> None:
    """Roll back to the previous version, or to any other."""
    from reefline.bundle import store

    destination = Location.parse(serving or workspace / "serving")
    record = store.rollback(destination, model or _find_only_model(destination), to, public_key)
    if record.withdrawn_version in (None, record.serving_version):
        say(f"Version {record.serving_version} of {record.model} serves.")
        return
    say(
        f"Rolled back {record.model} to version {record.serving_version}; "
        f"version {record.withdrawn_version} is withdrawn."
    )


def _find_only_model(destination: Location) -> str:
    """Return the one model that is served.

    Raises:
        UsageError: there is none, or more than one.
    """
    from reefline.bundle.store import list_models

    names = list_models(destination)
    if len(names) == 1:
        return names[0]
    if not names:
        raise UsageError(f"{destination}: no model is served here; pass --workspace DIR or --serving URI")
    raise UsageError(f"{destination}: {len(names)} models are served ({', '.join(names)}); pass --model NAME")
