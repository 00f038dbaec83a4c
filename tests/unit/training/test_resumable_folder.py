from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import IO, Any

import pytest

from reefline.errors import WorkspaceError
from reefline.system.lock_file import try_lock
from reefline.training import resumable_folder
from reefline.training.resumable_folder import hand_over, open_unfinished

DONE = "training.json"


def _open(*arguments: Any) -> Path:
    """Return the folder of work that another process stopped."""
    with open_unfinished(*arguments) as folder:
        return folder


def test_the_same_work_is_resumed(tmp_path: Path) -> None:
    folder = _open(tmp_path / "1", ("a", "b"))
    (folder / "state.json").write_text("{}")
    assert _open(tmp_path / "2", ("a", "b")) == folder
    assert (folder / "state.json").is_file()


def test_other_work_starts_empty(tmp_path: Path) -> None:
    folder = _open(tmp_path / "1", ("a", "b"))
    assert _open(tmp_path / "1", ("ab",)) != folder != _open(tmp_path / "1", ("a", "c"))


def test_finished_work_stays_until_other_work_is_handed_over(tmp_path: Path) -> None:
    first, stopped = _open(tmp_path / "1", ("first",)), _open(tmp_path / "1", ("stopped",))
    (first / "best").mkdir()
    (first / "best" / "ckpt").write_text("weights")
    (first / DONE).write_text("{}")
    (stopped / "state.json").write_text("{}")
    (tmp_path / "1").mkdir()
    hand_over(first, tmp_path / "1", finished_file=DONE)
    assert (tmp_path / "1" / "best" / "ckpt").read_text() == "weights"
    assert (first / DONE).is_file()
    second = _open(tmp_path / "2", ("second",))
    (second / DONE).write_text("{}")
    hand_over(second, tmp_path / "2", finished_file=DONE)
    assert not first.exists()
    assert stopped.is_dir()
    assert (tmp_path / "1" / "best" / "ckpt").read_text() == "weights"


def test_handing_over_twice_changes_nothing(tmp_path: Path) -> None:
    folder = _open(tmp_path / "1", ("a",))
    (folder / DONE).write_text("{}")
    for _ in range(2):
        hand_over(folder, tmp_path / "1", finished_file=DONE)
    assert (tmp_path / "1" / DONE).read_text() == "{}"


def test_work_survives_in_a_folder_that_outlives_the_pod(tmp_path: Path) -> None:
    folder = _open(tmp_path / "pod" / "1", ("a",), tmp_path / "volume")
    assert folder.is_relative_to(tmp_path / "volume") and folder.is_dir()
    assert _open(tmp_path / "other" / "2", ("a",), tmp_path / "volume") == folder


def test_a_volume_of_another_user_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    # Not by its mode: root may write anywhere.
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(WorkspaceError, match=rf"^{tmp_path}/work: not writable by user {os.getuid()}; make that user"):
        _open(tmp_path / "1", ("a",), tmp_path / "work")


def test_a_second_run_waits_for_the_same_work_and_finds_it_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    is_waiting, ended = threading.Event(), threading.Event()
    monkeypatch.setattr(resumable_folder.time, "sleep", lambda _: is_waiting.set() or ended.wait(10))
    found = []

    def run_second() -> None:
        with open_unfinished(tmp_path / "2", ("a",)) as folder:
            found.append((folder / DONE).is_file())

    second = threading.Thread(target=run_second)
    with open_unfinished(tmp_path / "1", ("a",)) as folder:
        second.start()
        assert is_waiting.wait(10)
        assert not found
        (folder / DONE).write_text("{}")
    ended.set()
    second.join(10)
    assert found == [True]
    assert f", process {os.getpid()}) is doing this work in {folder.parent}; waiting" in capsys.readouterr().out


def test_other_work_waits_for_nobody(tmp_path: Path) -> None:
    with open_unfinished(tmp_path / "1", ("a",)) as first, open_unfinished(tmp_path / "2", ("b",)) as second:
        assert first != second


def test_finished_work_that_another_run_holds_is_not_removed(tmp_path: Path) -> None:
    other = _open(tmp_path / "1", ("other",))
    (other / DONE).write_text("{}")
    with open_unfinished(tmp_path / "1", ("held",)) as held:
        (held / DONE).write_text("{}")
        hand_over(other, tmp_path / "1", finished_file=DONE)
        assert (held / DONE).is_file()
    hand_over(other, tmp_path / "1", finished_file=DONE)
    assert not held.exists() and not held.with_name(f"{held.name}.lock").exists()


def test_work_that_was_removed_while_waiting_starts_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lock(path: Path) -> IO[str] | None:
        path.with_suffix("").rmdir()
        return try_lock(path)

    monkeypatch.setattr(resumable_folder, "try_lock", lock)
    with open_unfinished(tmp_path / "1", ("a",)) as folder:
        assert folder.is_dir()


def test_a_lock_that_its_holder_deletes_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    def look(path: Path) -> IO[str] | None:
        looks.append(path)
        return None if len(looks) == 1 else try_lock(path)

    monkeypatch.setattr(resumable_folder, "try_lock", look)
    monkeypatch.setattr(resumable_folder.time, "sleep", lambda _: None)
    with open_unfinished(tmp_path / "1", ("a",)) as folder:
        assert folder.is_dir()
    assert len(looks) == 2
