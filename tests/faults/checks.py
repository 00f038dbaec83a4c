"""What must hold for a workspace at any moment, a run's last one included: nothing torn, serving complete."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from pipeline.local.workspace import Workspace
from reefline.bundle.checking import verify_for_use
from reefline.bundle.home import parse_version_names
from reefline.errors import UserError
from tests.factories_summary import find_schema_errors

# ml_metadata's proto: Execution.State NEW and RUNNING.
_UNFINISHED = (1, 2)


def find_torn(workspace: Path) -> list[str]:
    """Return what is torn in a workspace whose run has ended, however it ended; [] for a sound one."""
    opened = Workspace(workspace)
    return [
        *_check_serving(opened.serving),
        *_check_database(opened.metadata_db),
        *_check_json(opened.root),
        *_check_pages(opened.reports),
    ]


def find_unfinished(workspace: Path) -> list[str]:
    """Return the executions in ML Metadata that no run will finish."""
    with contextlib.closing(_open(Workspace(workspace).metadata_db)) as connection:
        rows = connection.execute(
            "SELECT Execution.id, Type.name FROM Execution JOIN Type ON Type.id = Execution.type_id "
            f"WHERE last_known_state IN {_UNFINISHED}"
        ).fetchall()
    return [f"execution {number} of {name.rpartition('.')[2]} is unfinished" for number, name in rows]


def find_leftovers(workspace: Path) -> list[str]:
    """Return hidden partial files, and outputs that belong to no finished execution."""
    opened = Workspace(workspace)
    partial = [path for pattern in (".*.part", ".push-*", ".unpacking-*") for path in workspace.rglob(pattern)]
    with contextlib.closing(_open(opened.metadata_db)) as connection:
        known = {uri for (uri,) in connection.execute("SELECT uri FROM Artifact WHERE state = 2")}
    outputs = [path for path in opened.artifacts.glob("[!.]*/[!.]*/*") if path.name.isdigit()]
    return [
        *(f"{path.relative_to(workspace)}: left behind" for path in partial),
        *(f"{path.relative_to(workspace)}: belongs to no execution" for path in outputs if str(path) not in known),
    ]


def _open(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(database)


def _check_serving(serving: Path) -> Iterator[str]:
    """Check that each version is a bundle that `reefline verify-bundle` accepts, and CURRENT names one."""
    for home in sorted(path for path in serving.glob("*") if path.is_dir()):
        versions = parse_version_names([path.name for path in home.iterdir()])
        for version in versions:
            bundle = home / str(version)
            try:
                verify_for_use(bundle)
            except UserError as error:
                yield from error.problems
        current = home / "CURRENT"
        if current.exists() and int(current.read_text()) not in versions:
            yield f"{current}: names version {current.read_text().strip()}, which is missing"


def _check_database(database: Path) -> Iterator[str]:
    if database.exists():
        try:
            with contextlib.closing(_open(database)) as connection:
                found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.DatabaseError as error:
            found = str(error)
        if found != "ok":
            yield f"{database.name}: {found}"


def _check_json(root: Path) -> Iterator[str]:
    for path in root.rglob("*.json"):
        if path.name.startswith(".") and path.name.endswith(".part"):
            continue
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, FileNotFoundError) as error:
            yield f"{path.relative_to(root)}: {error}"
            continue
        if path.name == "summary.json":
            yield from (f"{path.relative_to(root)}: {error}" for error in find_schema_errors(record))


def _check_pages(reports: Path) -> Iterator[str]:
    for path in reports.rglob("index.html"):
        if not path.read_text(encoding="utf-8").rstrip().endswith("</html>"):
            yield f"{path.relative_to(reports.parent)}: incomplete"
    latest = reports / "latest"
    if latest.is_symlink() and not latest.exists():
        yield "reports/latest: names a run without a folder"
