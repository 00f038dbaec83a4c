"""Runs as ML Metadata keeps them, made without ML Metadata."""

from __future__ import annotations

import datetime
import itertools
from pathlib import Path
from typing import Any

from reefline.lineage.records import ArtifactRecord, ExecutionRecord, ExecutionState, Maker, RunRecord

START = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.timezone.utc)
_IDS = itertools.count(1)


def make_artifact(
    folder: Path | str, properties: dict[str, Any] | None = None, *, type: str = "Model", maker: Maker | None = None
) -> ArtifactRecord:
    """Return an artifact with an id that no other has."""
    return ArtifactRecord(next(_IDS), type, str(folder), properties or {}, maker)


def make_execution(
    component: str,
    state: ExecutionState = ExecutionState.DONE,
    *,
    after_s: float = 0.0,
    seconds: float = 1.0,
    **values: Any,
) -> ExecutionRecord:
    """Return an execution that starts `after_s` after the run did; `values` are further fields."""
    started = START + datetime.timedelta(seconds=after_s)
    ended = None if state is ExecutionState.RUNNING else started + datetime.timedelta(seconds=seconds)
    return ExecutionRecord(next(_IDS), component, state, started, ended, **values)


def make_run(*executions: ExecutionRecord, run_id: str = "20260301T120000") -> RunRecord:
    """Return a run of these executions."""
    return RunRecord(run_id, START, executions)
