"""The workspace on disk: its paths, its lock, its link to the data, and the folders of run reports."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import sqlite3
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from reefline.errors import WorkspaceError
from reefline.lineage.store import find_store_problem
from reefline.system.files import is_out_of_space, write_whole
from reefline.system.lock_file import hold_workspace


@dataclass(frozen=True)
class Workspace:
    """The paths in a workspace; `root` is absolute."""

    root: Path

    @property
    def metadata_db(self) -> Path:
        """ML Metadata's SQLite file."""
        return self.root / "metadata.db"

    @property
    def lock(self) -> Path:
        """The file that a run locks."""
        return self.root / ".lock"

    @property
    def artifacts(self) -> Path:
        """The pipeline root."""
        return self.root / "artifacts"

    @property
    def serving(self) -> Path:
        """The push destination of bundles."""
        return self.root / "serving"

    @property
    def reports(self) -> Path:
        """One folder per run, and `latest`."""
        return self.root / "reports"

    @property
    def source(self) -> Path:
        """The symlink to the data set of the run; the pipeline only sees this path."""
        return self.root / "source"

    @property
    def hash_memory(self) -> Path:
        """The SQLite file of file hashes by path, size and time."""
        return self.root / "file_hashes.db"

    @property
    def recommendations(self) -> Path:
        """What was recommended, by data and command line, so that a second run gets the same config."""
        # Imported here: it brings numpy and Pillow, which would delay the first line of every run.
        from reefline.recommendation.memory import FOLDER

        return self.root / FOLDER

    @property
    def start_memory(self) -> Path:
        """The JSON file of the sha256 that each URL of trainer.start had when it was first downloaded."""
        return self.root / "start_hashes.json"

    @property
    def demo_data(self) -> Path:
        """The generated demo data set."""
        return self.root / "demo_data"


def open_workspace(path: Path) -> Workspace:
    """Open a workspace, and create it if it does not exist.

    Raises:
        WorkspaceError: `path` is a file, or is not writable.
    """
    root = Path(os.path.abspath(path))  # noqa: PTH100 (resolve() would follow a symlink that the user chose)
    try:
        (root / "reports").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkspaceError(
            f"{path}: cannot create a workspace here ({error.strerror}); pass another --workspace DIR"
        ) from None
    if not os.access(root, os.W_OK | os.X_OK):
        raise WorkspaceError(f"{path}: not writable; pass a writable folder with --workspace DIR")
    return Workspace(root)


def hold_lock(workspace: Workspace, run_id: str) -> AbstractContextManager[None]:
    """Return a context that holds the workspace for one run: see `hold_workspace`."""
    return hold_workspace(workspace.root, run_id)


def check_writable(workspace: Workspace) -> None:
    """Make sure that this user can write each part of the workspace: serving/ would fail after a night of training.

    Raises:
        WorkspaceError: some parts are read-only or belong to another user; one problem each.
    """
    own = (workspace.lock, workspace.metadata_db, workspace.reports, workspace.root / "schema")
    parts = (*own, workspace.artifacts, workspace.serving)
    below = (path for folder in (workspace.artifacts, workspace.serving) for path in folder.glob("[!.]*"))
    outputs = workspace.artifacts.glob("[!.]*/[!.]*")
    locked = [path for path in (*parts, *below, *outputs) if path.exists() and not os.access(path, os.W_OK)]
    if locked:
        raise WorkspaceError(
            *(f"{path}: not writable; make it writable, or pass another --workspace DIR" for path in locked)
        )


def check_metadata(workspace: Workspace) -> None:
    """Make sure that a run can use ML Metadata's file, if it exists.

    Raises:
        WorkspaceError: it is damaged, or not ML Metadata's.
    """
    path = workspace.metadata_db
    if not path.exists():
        return
    kind, problem = "damaged", _find_damage(path)
    if problem is None:
        kind, problem = "not a database of this ML Metadata", find_store_problem(path)
    if problem is not None:
        raise WorkspaceError(
            f"{path}: {kind} ({problem}); delete it and {workspace.artifacts}, and run the same command: all "
            "components run again, and reports and bundles stay"
        )


def _find_damage(database: Path) -> str | None:
    """Return what SQLite finds damaged in its file; None where it is intact."""
    try:
        with contextlib.closing(sqlite3.connect(database)) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if is_out_of_space(error):
            raise
        found = str(error)
    return None if found == "ok" else next(iter(found.splitlines()), "unreadable")


def point_source_at(workspace: Workspace, data_dir: Path) -> None:
    """Point `<workspace>/source` at the data set, so that no cache key depends on its path.

    Raises:
        WorkspaceError: it is a folder.
    """
    _replace_symlink(workspace.source, data_dir.resolve())


def place_by_content(workspace: Workspace, file: Path) -> Path:
    """Copy a file to a path that has its hash, and return that path.

    TFX's cache key has the path of a schema, not its content.
    """
    content = file.read_bytes()
    folder = workspace.root / "schema"
    folder.mkdir(exist_ok=True)
    target = folder / f"{hashlib.sha256(content).hexdigest()[:16]}{file.suffix}"
    if not target.is_file():
        write_whole(target, content)
    return target


def make_run_folder(workspace: Workspace, now: datetime.datetime) -> Path:
    """Create and return reports/<run_id>; the id is the time, made unique.

    Raises:
        WorkspaceError: the folder cannot be created.
    """
    stamp = now.strftime("%Y%m%dT%H%M%S")
    for attempt in range(1, 1000):
        folder = workspace.reports / (stamp if attempt == 1 else f"{stamp}-{attempt}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise WorkspaceError(
                f"{folder}: cannot create it ({error.strerror}); pass another --workspace DIR"
            ) from None
        return folder
    raise WorkspaceError(f"{workspace.reports}: has 1,000 reports of the second {stamp}; delete some")


def point_latest_at(workspace: Workspace, run_folder: Path) -> None:
    """Point reports/latest at a run's folder.

    Raises:
        WorkspaceError: it is a folder.
    """
    _replace_symlink(workspace.reports / "latest", Path(run_folder.name))


def _replace_symlink(link: Path, target: Path) -> None:
    part = link.with_name(f".{link.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    part.symlink_to(target)
    try:
        part.replace(link)
    except IsADirectoryError:
        part.unlink()
        raise WorkspaceError(f"{link}: a folder, where Reefline keeps a symlink; move or delete it") from None
