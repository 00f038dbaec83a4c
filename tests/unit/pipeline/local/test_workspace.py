"""pipeline/local/workspace.py: places, lock, symlinks and run folders."""

from __future__ import annotations

import contextlib
import datetime
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.local.workspace import (
    Workspace,
    check_metadata,
    check_writable,
    hold_lock,
    make_run_folder,
    open_workspace,
    place_by_content,
    point_latest_at,
    point_source_at,
)
from reefline.errors import WorkspaceError
from reefline.system.leftovers import remove_leftovers

NOON = datetime.datetime(2026, 1, 2, 12, 0, 0)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return open_workspace(tmp_path / "a" / "workspace")


def test_a_workspace_is_created_with_its_parents_and_is_absolute(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    workspace = open_workspace(Path("deep/er"))
    assert workspace.root == tmp_path / "deep" / "er"
    assert workspace.reports.is_dir()


def test_a_file_is_not_a_workspace(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match=r"cannot create a workspace here \(.*pass another --workspace"):
        open_workspace(tmp_path / "file")


def test_a_second_holder_learns_the_process_of_the_first(workspace: Workspace) -> None:
    code = (
        "import sys; from pathlib import Path; from pipeline.local.workspace import *\n"
        "with hold_lock(Workspace(Path(sys.argv[1])), '1'): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(workspace.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(WorkspaceError, match=rf"in use by another run \(process {holder.pid}\)"),
            hold_lock(workspace, "2"),
        ):
            pass
        holder.communicate()
    with hold_lock(workspace, "2"):
        assert (workspace.root / ".lock").read_text() == f"{os.getpid()}\n2\n"


@pytest.mark.parametrize(
    ("make", "found"),
    [
        pytest.param(lambda lock: lock.mkdir(), "a folder", id="folder"),
        pytest.param(lambda lock: lock.symlink_to(lock.parent / "precious"), "a symlink", id="symlink"),
        pytest.param(os.mkfifo, "not a file", id="fifo"),
    ],
)
def test_a_lock_that_is_no_file_is_named(workspace: Workspace, make: Callable[[Path], None], found: str) -> None:
    (workspace.root / "precious").write_text("kept")
    make(workspace.root / ".lock")
    with (
        pytest.raises(WorkspaceError, match=rf"\.lock: {found}, where a lock's file is expected; delete it"),
        hold_lock(workspace, "2"),
    ):
        pass
    assert (workspace.root / "precious").read_text() == "kept"


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda db: db.write_bytes(b"not SQLite" * 1000), id="other-content"),
        pytest.param(lambda db: db.write_bytes(db.read_bytes()[:5000]), id="cut"),
        pytest.param(
            lambda db: db.write_bytes(db.read_bytes()[:4096] + bytes(4096) + db.read_bytes()[8192:]), id="hole"
        ),
        pytest.param(lambda db: (db.unlink(), db.mkdir()), id="folder"),
    ],
)
def test_damaged_metadata_is_named_with_what_to_delete(workspace: Workspace, damage: Callable[[Path], None]) -> None:
    with contextlib.closing(sqlite3.connect(workspace.metadata_db)) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.executemany("INSERT INTO t VALUES (?)", [("x" * 1000,)] * 50)
        connection.commit()
    check_metadata(workspace)
    damage(workspace.metadata_db)

    with pytest.raises(WorkspaceError, match=rf"metadata\.db: damaged \(.+\); delete it and {workspace.artifacts}"):
        check_metadata(workspace)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        pytest.param("CREATE TABLE Artifact (id INTEGER)", "no such column", id="another-programs"),
        pytest.param("CREATE VIEW Execution AS SELECT 1", "views may not be indexed", id="view"),
        pytest.param("CREATE TABLE MLMDEnv (x TEXT)", "empty db", id="another-environment"),
        pytest.param(
            "CREATE TABLE MLMDEnv (schema_version INTEGER PRIMARY KEY); INSERT INTO MLMDEnv VALUES (999)",
            "999 is greater than",
            id="newer-version",
        ),
        pytest.param(
            "CREATE TABLE MLMDEnv (schema_version INTEGER PRIMARY KEY); INSERT INTO MLMDEnv VALUES (10)",
            "a subset of tables",
            id="lost-tables",
        ),
    ],
)
def test_an_intact_database_that_is_not_ml_metadata_is_named(
    workspace: Workspace, statement: str, message: str
) -> None:
    with contextlib.closing(sqlite3.connect(workspace.metadata_db)) as connection:
        connection.executescript(statement)
    with pytest.raises(
        WorkspaceError, match=rf"metadata\.db: not a database of this ML Metadata \(.*{message}.*\); delete it and"
    ):
        check_metadata(workspace)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(".lock", id="lock"),
        pytest.param("serving", id="serving"),
        pytest.param("serving/pets", id="model"),
        pytest.param("artifacts/Trainer", id="component"),
        pytest.param("artifacts/Trainer/model_run", id="output"),
    ],
)
def test_a_part_that_cannot_be_written_is_named_before_the_run(workspace: Workspace, monkeypatch, name: str) -> None:
    for folder in (workspace.serving / "pets" / "1", workspace.artifacts / "Trainer" / "model_run"):
        folder.mkdir(parents=True)
    (workspace.root / ".lock").touch()
    check_writable(workspace)
    locked = workspace.root / name
    # Root may write everywhere, whatever the mode.
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != locked)
    with pytest.raises(WorkspaceError, match=rf"^\S+/{name}: not writable; make it writable, or pass another"):
        check_writable(workspace)


def test_what_killed_runs_left_is_removed(workspace: Workspace) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    report = make_run_folder(workspace, NOON)
    outputs = workspace.artifacts / "Trainer" / "model_run"
    leftovers = [
        workspace.root / f".demo_data.{gone.pid}.part",
        report / f".summary.json.{gone.pid}.part",
        outputs / f".7.{gone.pid}.part",
        outputs / ".unfinished" / f".abc.{gone.pid}.part",
    ]
    (outputs / ".unfinished").mkdir(parents=True)
    kept = [
        workspace.root / ".lock",
        workspace.root / "data.part",
        workspace.root / ".of no process.part",
        report / f".summary.json.{os.getpid()}.part",
    ]
    leftovers[0].mkdir()
    for path in (leftovers[0] / "image.jpg", leftovers[1], *kept):
        path.touch()
    link = workspace.root / f".source.{gone.pid}.part"
    link.symlink_to(report)

    remove_leftovers(workspace.root)

    assert not any(path.exists() for path in leftovers) and not link.is_symlink()
    assert all(path.exists() for path in kept) and report.is_dir()


def test_missing_metadata_is_not_damaged(workspace: Workspace) -> None:
    check_metadata(workspace)
    assert not workspace.metadata_db.exists()


def test_a_folder_instead_of_the_link_to_the_data_is_named(workspace: Workspace, tmp_path: Path) -> None:
    (workspace.source / "photos").mkdir(parents=True)
    with pytest.raises(WorkspaceError, match="source: a folder, where Reefline keeps a symlink; move or delete it"):
        point_source_at(workspace, tmp_path)
    assert (workspace.source / "photos").is_dir()
    assert sorted(path.name for path in workspace.root.iterdir()) == ["reports", "source"]


def test_source_points_at_the_data_and_can_be_moved(workspace: Workspace, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        point_source_at(workspace, tmp_path / name)
        assert workspace.source.resolve() == (tmp_path / name).resolve()
    assert sorted(p.name for p in workspace.root.iterdir()) == ["reports", "source"]


def test_latest_is_relative_so_that_a_workspace_can_be_moved(workspace: Workspace) -> None:
    folder = make_run_folder(workspace, NOON)
    point_latest_at(workspace, folder)
    assert (workspace.reports / "latest").readlink() == Path(folder.name)


def test_two_runs_of_one_second_have_two_folders(workspace: Workspace) -> None:
    names = [make_run_folder(workspace, NOON).name for _ in range(3)]
    assert names == ["20260102T120000", "20260102T120000-2", "20260102T120000-3"]


def test_run_folder_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("")
    with pytest.raises(WorkspaceError, match=r"20260102T120000: cannot create it"):
        make_run_folder(Workspace(tmp_path), NOON)


def test_a_file_is_placed_by_its_content(workspace: Workspace, tmp_path: Path) -> None:
    schema = tmp_path / "schema.pbtxt"
    schema.write_text("one")
    first = place_by_content(workspace, schema)
    assert place_by_content(workspace, schema) == first
    schema.write_text("two")
    second = place_by_content(workspace, schema)
    assert (first.read_text(), second.read_text()) == ("one", "two")
    assert first.suffix == ".pbtxt"
