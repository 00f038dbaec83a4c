"""Runs the pipeline on this machine: `python local_runner.py --data DIR`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default the process's own, and return the exit code."""
    # Imported here: worker processes import this file.
    from pipeline.local.command import app

    try:
        app(arguments, prog_name="local_runner.py")
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


if __name__ == "__main__":
    exit_code = main()
    if exit_code > 128:
        # Stopped by a signal. Everything is written, and TensorFlow's input threads delay a normal exit by 12 s.
        os._exit(exit_code)
    sys.exit(exit_code)
