"""The runs of a workspace and what came before each."""

from __future__ import annotations

import bisect
import functools
import json
from pathlib import Path

from reefline.lineage.records import RunRecord
from reefline.lineage.store import read_run, read_runs
from reefline.report.reviewed_run import EarlierRun
from reefline.report.run_artifacts import find_sources
from reefline.report.run_folder import SUMMARY_FILE, list_run_folders, run_order


class RunHistory:
    """Reads runs of a workspace, each at most once: rebuilding all pages asks again and again.

    With `at_once`, ML Metadata is read in one go, which is faster for many runs and slower for one.
    """

    def __init__(self, workspace: Path, *, at_once: bool = False) -> None:
        """Read nothing yet."""
        self.workspace = workspace
        self._at_once = at_once
        self._found: dict[str, RunRecord | None] = {}

    @property
    def reports(self) -> Path:
        """The folder of reports."""
        return self.workspace / "reports"

    def read(self, run_id: str) -> RunRecord | None:
        """Return a run of ML Metadata, None if it stopped before its first component.

        Raises:
            RecordError: metadata.db is damaged.
        """
        if self._at_once:
            return self._all_runs.get(run_id)
        if run_id not in self._found:
            self._found[run_id] = read_run(self.workspace / "metadata.db", run_id)
        return self._found[run_id]

    def find_earlier(self, run_id: str, model: str) -> EarlierRun | None:
        """Return the last run of the same model before this one that ingested its data; None for the first.

        Raises:
            RecordError: metadata.db is damaged.
        """
        ids = self._ids_by_model.get(model, [])
        for place in reversed(range(bisect.bisect_left(ids, run_order(run_id), key=run_order))):
            earlier = ids[place]
            ingestion = find_sources(self.read(earlier), "").ingestion
            if ingestion is not None:
                return EarlierRun(earlier, ingestion)
        return None

    def add(self, run_id: str, model: str) -> None:
        """Note a run whose summary has just been written."""
        ids = self._ids_by_model.setdefault(model, [])
        if run_id not in ids:
            bisect.insort(ids, run_id, key=run_order)

    @functools.cached_property
    def _all_runs(self) -> dict[str, RunRecord]:
        return {run.run_id: run for run in read_runs(self.workspace / "metadata.db")}

    @functools.cached_property
    def _ids_by_model(self) -> dict[str, list[str]]:
        """The ids of runs that have a summary, oldest first."""
        found: dict[str, list[str]] = {}
        for folder in sorted(list_run_folders(self.reports), key=lambda folder: run_order(folder.name)):
            model = _read_model(folder)
            if model is not None:
                found.setdefault(model, []).append(folder.name)
        return found


def _read_model(folder: Path) -> str | None:
    """Return the model of a run, None if its summary is missing or damaged."""
    try:
        summary = json.loads((folder / SUMMARY_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    model = summary.get("model") if isinstance(summary, dict) else None
    return model if isinstance(model, str) else None
