"""Pages and summaries made anew from ML Metadata and the artifacts."""

from __future__ import annotations

from pathlib import Path

from reefline.report.run_facts import SUMMARY_FILE
from reefline.report.summary import Summary


def read_or_restore_summary(workspace: Path, run_id: str) -> Summary:
    """Return a run's summary.

    Raises:
        RecordError: it is missing or damaged.
    """
    return Summary.read(workspace / "reports" / run_id / SUMMARY_FILE)
