"""`reefline gc`."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from reefline.commands.options import DEFAULT_WORKSPACE
from reefline.errors import UsageError, WorkspaceError
from reefline.system.terminal import format_bytes, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reefline.cleanup.plan import Share

_PERMISSION_ERRNOS = (errno.EACCES, errno.EPERM, errno.EROFS)


def gc(
    keep: Annotated[int, typer.Option("--keep", metavar="N", min=1, help="how many of the newest runs to keep")],
    workspace: Annotated[
        Optional[Path],
        typer.Option(
            metavar="DIR", help="the folder of runs, artifacts and bundles", show_default=str(DEFAULT_WORKSPACE)
        ),
    ] = None,
    serving: Annotated[
        str,
        typer.Option(metavar="URI", help="remove bundles of an object store instead, keeping the N newest per model"),
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would be removed, and remove nothing")] = False,
) -> None:
    """Remove artifacts, reports and bundles that nothing needs. Never what serves, or what a rollback needs."""
    if serving:
        if workspace is not None:
            raise UsageError("--workspace, --serving: each names a place to clean; pass one of them")
        _clean_store(serving, keep, dry_run=dry_run)
    else:
        _clean_workspace(workspace or DEFAULT_WORKSPACE, keep, dry_run=dry_run)


def _clean_workspace(workspace: Path, keep: int, *, dry_run: bool) -> None:
    from reefline.cleanup.plan import plan_cleanup
    from reefline.cleanup.removal import remove_planned
    from reefline.system.lock_file import hold_workspace

    if not (workspace / "reports").is_dir():
        raise UsageError(f"{workspace}: no runs here; pass --workspace DIR")
    try:
        with hold_workspace(workspace):
            plan = plan_cleanup(workspace, keep)
            shares = plan.measure()
            if not dry_run:
                remove_planned(plan)
    except OSError as error:
        raise WorkspaceError(_describe(error, workspace)) from error
    _show(shares, dry_run=dry_run)
    kept = plan.runs - len(plan.reports)
    say(f"{'Would keep' if dry_run else 'Kept'} {kept} of {plan.runs} runs.")


def _describe(error: OSError, workspace: Path) -> str:
    remedy = "fix its permissions, and run" if error.errno in _PERMISSION_ERRNOS else "correct this, then run"
    return f"{error.filename or workspace}: {error.strerror or error}; {remedy} the same command again"


def _clean_store(serving: str, keep: int, *, dry_run: bool) -> None:
    """Remove bundles alone: artifacts and reports of runs on Kubeflow are in its own stores."""
    from reefline.bundle.store import list_models
    from reefline.bundle.superseded import find_superseded, remove_superseded
    from reefline.cleanup.plan import Kind, Share
    from reefline.storage.location import Location

    destination = Location.parse(serving)
    if not destination.is_remote:
        raise UsageError(
            f"--serving {serving}: a folder of this machine, where a run may be under way; use --workspace DIR"
        )
    models = list_models(destination)
    if not models:
        raise UsageError(f"{destination}: no model is served here; pass another --serving URI")
    bundles = [bundle for model in models for bundle in find_superseded(destination, model, newest=keep)]
    if not dry_run:
        remove_superseded(destination, bundles)
    _show([Share(Kind.BUNDLES, len(bundles), sum(bundle.bytes for bundle in bundles))], dry_run=dry_run)


def _show(shares: Sequence[Share], *, dry_run: bool) -> None:
    say(f"{'':<20} {'number':>7} {'size':>11}")
    for share in shares:
        say(f"{share.kind.value:<20} {share.number:>7} {format_bytes(share.bytes):>11}")
    freed = format_bytes(sum(share.bytes for share in shares))
    say(f"Would free {freed}." if dry_run else f"Freed {freed}.")
