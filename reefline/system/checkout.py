"""Which commit the sources of this process come from."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Checkout:
    """A git commit, "" outside a checkout; `is_dirty` where tracked files differ from it."""

    commit: str = ""
    is_dirty: bool = False


def read_checkout(folder: Path) -> Checkout:
    """Return the commit of the checkout whose top is `folder`.

    An installed package can lie in a checkout of another project, such as in its .venv: that one's commit says nothing.
    """
    top, _, commit = _git(folder, "rev-parse", "--show-toplevel", "HEAD").partition("\n")
    if not commit or Path(top).resolve() != folder.resolve():
        return Checkout()
    # Ignored files and new ones do not count: runs write into the checkout.
    return Checkout(commit, bool(_git(folder, "status", "--porcelain", "--untracked-files=no")))


def _git(folder: Path, *arguments: str) -> str:
    """Return what git prints, "" where it is missing or fails."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
