"""Packages that only some commands need: the extras of Reefline's own package."""

from __future__ import annotations

import importlib.util

from reefline.errors import UsageError


def require_extra(extra: str, module: str, purpose: str) -> None:
    """Make sure that a module of an extra can be imported; `purpose` is what needs it, for the message.

    Raises:
        UsageError: it is not installed.
    """
    if importlib.util.find_spec(module) is None:
        raise UsageError(f"{purpose} needs {module}, which is not installed; run `pip install 'reefline[{extra}]'`")
