"""Everything that the page of one run is made from."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from reefline.lineage.records import RunRecord
from reefline.report.environment import Environment
from reefline.report.run_artifacts import find_sources
from reefline.report.sources import RunSources
from reefline.report.summary import RunRecords
from reefline.structures.artifacts import IngestionFolder


@dataclass(frozen=True)
class EarlierRun:
    """The last run of the same model that ingested its data."""

    run_id: str
    ingestion: IngestionFolder


@dataclass(frozen=True)
class ReviewedRun:
    """A run that ended, however it ended.

    `run` is None if it stopped before its first component. `config` is the effective RunConfig as JSON, "" without one.
    `environment` is None if it was not kept. `date` is when it began, as text; `earlier` is None for the first run of
    a model.
    """

    records: RunRecords
    workspace: Path
    environment: Environment | None
    config: str = ""
    date: str = ""
    run: RunRecord | None = None
    earlier: EarlierRun | None = None

    @functools.cached_property
    def sources(self) -> RunSources:
        """The folders of the run's artifacts, looked up once."""
        return find_sources(self.run, self.config)
