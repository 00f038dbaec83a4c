"""`reefline doctor`."""

from __future__ import annotations

import typer

from reefline.commands.options import DEFAULT_WORKSPACE, WorkspaceOption
from reefline.system.terminal import say


def doctor(workspace: WorkspaceOption = DEFAULT_WORKSPACE) -> None:
    """Check the installation. Lists what is missing or has the wrong version, and how to fix it."""
    from reefline.verification.installation import Health, examine

    checks = examine(workspace)
    for check in checks:
        say(f"{check.health.value:>7}  {check.name}: {check.found}")
        if check.remedy:
            say(f"         {check.remedy}")
    problems = sum(check.health is Health.PROBLEM for check in checks)
    say(f"{problems} problem(s) found" if problems else "no problems found")
    if problems:
        raise typer.Exit(2)
