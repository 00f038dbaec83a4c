"""Runs the pipeline on Kubeflow Pipelines: `python kubeflow_runner.py compile|submit|lint`."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default the process's own, and return the exit code."""
    from pipeline.kubeflow.command import app

    try:
        app(arguments, prog_name="kubeflow_runner.py")
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
