"""The place outside of KFP where the reports of all runs are kept."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pipeline.kubeflow.contract import REPORTS_VARIABLE
from reefline.errors import UsageError
from reefline.system.files import write_whole


def publish(run_id: str, files: Mapping[str, str]) -> str:
    """Write files into <reports>/<run_id>, by name, and return that folder; "" where no place is configured.

    Raises:
        UsageError: the place has an unknown scheme.
        OSError: it cannot be written.
    """
    reports = os.environ.get(REPORTS_VARIABLE, "")
    if not reports or not run_id:
        return ""
    if "://" in reports:
        raise UsageError(f"{reports}: unknown scheme; expected a path")
    folder = Path(reports) / run_id
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_whole(folder / name, content)
    return str(folder)
