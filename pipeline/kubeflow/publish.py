"""The place outside of KFP where the reports of all runs are kept, one folder per run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Optional

from pipeline.kubeflow.contract import REPORTS_VARIABLE
from reefline.storage.location import Location
from reefline.storage.opening import open_storage


def publish(run_id: str, files: Mapping[str, str]) -> str:
    """Write files into <reports>/<run_id>, by name, and return that folder; "" where no place is configured.

    Raises:
        StorageError: the place cannot be written.
    """
    reports = os.environ.get(REPORTS_VARIABLE, "")
    if not reports or not run_id:
        return ""
    storage = open_storage(Location.parse(reports) / run_id)
    for name, content in files.items():
        storage.write(name, content.encode("utf-8"))
    return str(storage.location)


def read_published(reports: str, run_id: str, name: str) -> Optional[str]:
    """Return a file of a run, None if it does not exist.

    Raises:
        StorageError: the place cannot be read.
    """
    content = open_storage(Location.parse(reports) / run_id).read(name)
    return content.data.decode("utf-8") if content is not None else None
