"""The place outside of KFP where the reports of all runs are kept, one folder per run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Optional

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
    folder = _locate(reports) / run_id
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_whole(folder / name, content)
    return str(folder)


def read_published(reports: str, run_id: str, name: str) -> Optional[str]:
    """Return a file of a run, None if it does not exist.

    Raises:
        UsageError: the place has an unknown scheme.
        OSError: it cannot be read.
    """
    path = _locate(reports) / run_id / name
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _locate(reports: str) -> Path:
    if "://" in reports:
        raise UsageError(f"{reports}: unknown scheme; expected a path")
    return Path(reports)
