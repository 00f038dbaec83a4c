from __future__ import annotations

from pathlib import Path

from reefline.training.resumable_folder import hand_over, open_unfinished

DONE = "training.json"


def test_the_same_work_is_resumed(tmp_path: Path) -> None:
    folder = open_unfinished(tmp_path / "1", ("a", "b"))
    (folder / "state.json").write_text("{}")
    assert open_unfinished(tmp_path / "2", ("a", "b")) == folder
    assert (folder / "state.json").is_file()


def test_other_work_starts_empty(tmp_path: Path) -> None:
    folder = open_unfinished(tmp_path / "1", ("a", "b"))
    assert open_unfinished(tmp_path / "1", ("ab",)) != folder != open_unfinished(tmp_path / "1", ("a", "c"))


def test_finished_work_stays_until_other_work_is_handed_over(tmp_path: Path) -> None:
    first, stopped = open_unfinished(tmp_path / "1", ("first",)), open_unfinished(tmp_path / "1", ("stopped",))
    (first / "best").mkdir()
    (first / "best" / "ckpt").write_text("weights")
    (first / DONE).write_text("{}")
    (stopped / "state.json").write_text("{}")
    (tmp_path / "1").mkdir()
    hand_over(first, tmp_path / "1", finished_file=DONE)
    assert (tmp_path / "1" / "best" / "ckpt").read_text() == "weights"
    assert (first / DONE).is_file()
    second = open_unfinished(tmp_path / "2", ("second",))
    (second / DONE).write_text("{}")
    hand_over(second, tmp_path / "2", finished_file=DONE)
    assert not first.exists()
    assert stopped.is_dir()
    assert (tmp_path / "1" / "best" / "ckpt").read_text() == "weights"


def test_handing_over_twice_changes_nothing(tmp_path: Path) -> None:
    folder = open_unfinished(tmp_path / "1", ("a",))
    (folder / DONE).write_text("{}")
    for _ in range(2):
        hand_over(folder, tmp_path / "1", finished_file=DONE)
    assert (tmp_path / "1" / DONE).read_text() == "{}"


def test_work_survives_in_a_folder_that_outlives_the_pod(tmp_path: Path) -> None:
    folder = open_unfinished(tmp_path / "pod" / "1", ("a",), tmp_path / "volume")
    assert folder.is_relative_to(tmp_path / "volume") and folder.is_dir()
    assert open_unfinished(tmp_path / "other" / "2", ("a",), tmp_path / "volume") == folder
