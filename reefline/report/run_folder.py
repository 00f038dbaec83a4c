"""The folder of a run in reports/: its name, which is the run's id, and its files."""

from __future__ import annotations

from pathlib import Path

SUMMARY_FILE = "summary.json"
CONFIG_FILE = "config.yaml"
PAGE_FILE = "index.html"
TIME_CHARACTERS = len("20260102T120000")


def list_run_folders(reports: Path) -> list[Path]:
    """Return the folders of runs; `latest` is a symlink, and hidden names are ours."""
    return [
        path
        for path in sorted(reports.iterdir())
        if path.is_dir() and not path.is_symlink() and not path.name.startswith(".")
    ]


def run_order(run_id: str) -> tuple[str, int, str]:
    """Return a sort key by time, which puts 20260102T120000-10 after 20260102T120000-9."""
    return run_id[:TIME_CHARACTERS], len(run_id), run_id
