"""An unexpected error of a command, as one line; its traceback is kept in a file."""

from __future__ import annotations

import tempfile
import traceback


def describe_unexpected(error: Exception, command: str) -> str:
    """Write the traceback to a file and return one line that names it."""
    with tempfile.NamedTemporaryFile(
        "w", prefix=f"reefline-{command}-", suffix=".log", delete=False, encoding="utf-8"
    ) as log:
        log.write("".join(traceback.format_exception(error)))
    first_line = next(iter(str(error).splitlines()), "")
    return f"unexpected {type(error).__name__}: {first_line} (traceback: {log.name})"
