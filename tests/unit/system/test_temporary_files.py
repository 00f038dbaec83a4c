"""The folder for a run's temporary files."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from reefline.system.temporary_files import own_temporary_folder, remove_abandoned_folders, shared_temporary_folder

_KILLED = """
import os, tempfile
from reefline.system.temporary_files import own_temporary_folder
with own_temporary_folder():
    tempfile.mkdtemp()
    os._exit(1)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_temporary_files_lie_in_a_folder_that_disappears(place: Path) -> None:
    with own_temporary_folder():
        (folder,) = place.iterdir()
        with tempfile.NamedTemporaryFile(delete=False) as file:
            assert Path(file.name).parent == folder
        child = [sys.executable, "-c", "import tempfile; print(tempfile.gettempdir())"]
        assert subprocess.run(child, capture_output=True, text=True, check=True).stdout.strip() == str(folder)
        # Where the cache lies if nothing else is writable.
        assert shared_temporary_folder() == place
        # Another run leaves it alone.
        with own_temporary_folder():
            assert folder.is_dir()
        assert tempfile.gettempdir() == str(folder)
    assert not any(place.iterdir())
    assert os.environ["TMPDIR"] == str(place) and tempfile.gettempdir() == str(place)


def test_what_a_killed_run_left_is_removed_by_the_next(place: Path) -> None:
    assert subprocess.run([sys.executable, "-c", _KILLED], check=False).returncode == 1
    (left,) = place.iterdir()
    assert [path.is_dir() for path in left.iterdir() if path.name != ".lock"] == [True]
    (place / "reefline-runs.txt").touch()
    (place / "reefline-run-of-mine").symlink_to(place)
    with own_temporary_folder():
        assert not left.exists()
    assert sorted(path.name for path in place.iterdir()) == ["reefline-run-of-mine", "reefline-runs.txt"]


def test_nothing_is_removed_where_nobody_can_hold_a_lock(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with own_temporary_folder():
        (live,) = place.iterdir()
        remove_abandoned_folders(place)
        assert live.is_dir()
    assert not any(place.iterdir())


def test_a_file_with_such_a_name_stays(tmp_path: Path) -> None:
    (tmp_path / "reefline-run-notes").write_text("mine")
    remove_abandoned_folders(tmp_path)
    assert (tmp_path / "reefline-run-notes").read_text() == "mine"
