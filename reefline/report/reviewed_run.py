"""Everything that the page of one run is made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reefline.lineage.records import RunRecord
from reefline.report.environment import Environment
from reefline.report.sources import RunSources
from reefline.report.summary import RunRecords


@dataclass(frozen=True)
class ReviewedRun:
    """A run that ended, however it ended.

    `run` is None if it stopped before its first component. `config` is the effective RunConfig as JSON, "" without one.
    `previous` are the artifacts of the last run of the same model, None for the first.
    """

    records: RunRecords
    workspace: Path
    environment: Environment
    config: str = ""
    run: RunRecord | None = None
    previous: RunSources | None = None
