"""Versions that a rollback withdrew: the next run must not push their models again."""

from __future__ import annotations

import contextlib
from typing import Optional

from reefline.bundle.home import BundleHome, Current
from reefline.bundle.manifest import FileRecord
from reefline.errors import BundleError


def withdraw(home: BundleHome, current: Optional[Current], target: int) -> None:
    """Make the target serve, and mark what served before.

    The mark comes first: a push that sees the target serve, or a crash here, must not make the withdrawn model serve.

    Raises:
        BundleError: something else serves by now.
    """
    withdrawn = current.version if current and current.version != target else None
    if withdrawn is not None:
        home.mark_withdrawn(withdrawn)
    try:
        home.write_current(target, current)
    except BundleError:
        if withdrawn is not None:
            home.unmark_withdrawn(withdrawn)
        raise
    home.unmark_withdrawn(target)


def find_withdrawn(home: BundleHome, files: tuple[FileRecord, ...]) -> Optional[int]:
    """Return the newest withdrawn version whose manifest lists exactly these files; None if there is none."""
    for version in sorted(home.list_withdrawn(), reverse=True):
        with contextlib.suppress(BundleError):
            if set(home.read_manifest(version).files) == set(files):
                return version
    return None
