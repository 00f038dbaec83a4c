from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from reefline.curation import duplicates_folder
from reefline.curation.data_folder import read_data_folder
from reefline.curation.duplicates import DedupeRequest, Duplicate, find_duplicates
from reefline.curation.duplicates_folder import (
    JOURNAL_FILE,
    check_duplicates_folder,
    move_duplicates,
    read_moves,
    shorten_split_lists,
    undo_moves,
)
from reefline.curation.duplicates_report import write_duplicates_report
from reefline.errors import DataError
from tests.factories import make_xml
from tests.factories_curation import make_picture, save_picture, snapshot


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A VOC data set in which b and c are copies of a, with split lists."""
    root = tmp_path / "data"
    for name, seed in (("a", 1), ("b", 1), ("c", 1), ("d", 2)):
        save_picture(root / "JPEGImages" / f"{name}.jpg", make_picture(seed))
        xml = root / "Annotations" / f"{name}.xml"
        xml.parent.mkdir(exist_ok=True)
        xml.write_bytes(make_xml(filename=f"{name}.jpg"))
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\nb\nd\n")
    (lists / "val.txt").write_text("\ufeffc\n")
    return root


def _find(root: Path) -> tuple[Duplicate, ...]:
    return find_duplicates(DedupeRequest(root), lambda done, total: None).duplicates


def _move(root: Path) -> None:
    move_duplicates(root, _find(root))
    shorten_split_lists(root)
    write_duplicates_report(root)


def test_duplicates_move_with_their_annotations_and_come_back(root: Path) -> None:
    before = snapshot(root)
    _move(root)
    moved = root / "duplicates"
    assert (moved / "JPEGImages" / "b.jpg").is_file() and (moved / "Annotations" / "b.xml").is_file()
    assert [each.image for each in read_data_folder(root).images] == ["JPEGImages/a.jpg", "JPEGImages/d.jpg"]
    assert not _find(root)
    result = undo_moves(root)
    assert (result.restored, result.problems) == (2, ())
    assert snapshot(root) == before
    assert not moved.exists()


def test_split_lists_lose_the_moved_images(root: Path) -> None:
    _move(root)
    lists = root / "ImageSets" / "Main"
    assert (lists / "train.txt").read_text() == "a\nd\n"
    assert (lists / "val.txt").read_text() == ""


def test_a_list_that_was_edited_since_stays(root: Path) -> None:
    _move(root)
    train = root / "ImageSets" / "Main" / "train.txt"
    train.write_text("d\n")
    result = undo_moves(root)
    assert result.restored == 2
    assert "train.txt: changed since, so it stays" in result.problems[0]
    assert train.read_text() == "d\n"
    (root / "duplicates" / "ImageSets" / "Main" / "train.txt").unlink()
    assert undo_moves(root).problems == ()


def test_a_second_search_adds_to_the_first(root: Path) -> None:
    before = snapshot(root)
    _move(root)
    # Another copy, with the name of one that lies in duplicates/ already.
    shutil.copy(root / "JPEGImages" / "a.jpg", root / "JPEGImages" / "b.jpg")
    _move(root)
    assert {move.to for move in read_moves(root)} >= {"duplicates/JPEGImages/b.jpg", "duplicates/JPEGImages/b_2.jpg"}
    assert "b_2.jpg" in (root / "duplicates" / "duplicates.csv").read_text()
    result = undo_moves(root)
    assert result.restored == 2
    assert "b.jpg: exists again" in result.problems[0]
    (root / "duplicates" / "JPEGImages" / "b.jpg").unlink()
    assert undo_moves(root).problems == ()
    assert snapshot(root) == before


@pytest.mark.parametrize("calls_before", range(5))
def test_a_crash_at_any_move_loses_nothing(root: Path, calls_before: int, monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshot(root)
    move, calls = duplicates_folder._move, 0

    def crash(source: Path, target: Path) -> None:
        nonlocal calls
        calls += 1
        if calls > calls_before:
            raise KeyboardInterrupt
        move(source, target)

    duplicates = _find(root)
    with monkeypatch.context() as patch:
        patch.setattr(duplicates_folder, "_move", crash)
        if calls_before < 4:
            with pytest.raises(KeyboardInterrupt):
                move_duplicates(root, duplicates)
        else:
            move_duplicates(root, duplicates)
    # A second call finishes the work.
    _move(root)
    assert len(read_moves(root)) == 2 and not _find(root)
    assert undo_moves(root).problems == ()
    assert snapshot(root) == before


def test_a_journal_cut_by_a_crash_is_read_up_to_there(root: Path) -> None:
    before = snapshot(root)
    _move(root)
    with (root / "duplicates" / JOURNAL_FILE).open("a") as journal:
        journal.write('{"image": "JPEGIm')
    assert undo_moves(root).restored == 2
    assert snapshot(root) == before


def test_a_journal_moves_nothing_outside_the_folder(root: Path, tmp_path: Path) -> None:
    _move(root)
    journal = root / "duplicates" / JOURNAL_FILE
    line = json.loads(journal.read_text().splitlines()[0])
    journal.write_text(json.dumps({**line, "image": "../stolen.jpg"}) + "\n")
    undo_moves(root)
    assert not (tmp_path / "stolen.jpg").exists()


def test_a_folder_of_that_name_is_not_taken_over(root: Path) -> None:
    save_picture(root / "duplicates" / "mine.jpg", make_picture(5))
    with pytest.raises(DataError, match="holds files that `reefline dedupe` did not write"):
        check_duplicates_folder(root)


def test_without_a_journal_there_is_nothing_to_undo(root: Path) -> None:
    with pytest.raises(DataError, match="nothing to undo"):
        undo_moves(root)


def test_the_report_shows_each_group(root: Path) -> None:
    _move(root)
    rows = list(csv.DictReader((root / "duplicates" / "duplicates.csv").open()))
    assert [(row["moved"], row["kept"], row["kind"]) for row in rows] == [
        ("JPEGImages/b.jpg", "JPEGImages/a.jpg", "exact"),
        ("JPEGImages/c.jpg", "JPEGImages/a.jpg", "exact"),
    ]
    page = (root / "duplicates" / "duplicates.html").read_text()
    assert page.count("<figure") == 3
    assert "2 exact copies" in page and str(root) not in page


def test_an_annotation_that_a_stopped_call_left_behind_follows_its_image(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(root)
    duplicates = _find(root)
    with monkeypatch.context() as patch:
        patch.setattr(duplicates_folder, "_move", _stop_before_annotations(duplicates_folder._move))
        with pytest.raises(KeyboardInterrupt):
            move_duplicates(root, duplicates[:1])
    assert (root / "Annotations" / "b.xml").exists() and not (root / "JPEGImages" / "b.jpg").exists()
    # The other copy is gone, so nothing else moves.
    move_duplicates(root, ())
    assert (root / "duplicates" / "Annotations" / "b.xml").exists()
    assert not (root / "Annotations" / "b.xml").exists()
    assert undo_moves(root).problems == ()
    assert snapshot(root) == before


def _stop_before_annotations(move: Callable[[Path, Path], None]) -> Callable[[Path, Path], None]:
    def stop(source: Path, target: Path) -> None:
        if source.suffix == ".xml":
            raise KeyboardInterrupt
        move(source, target)

    return stop


def test_annotations_of_new_images_stay(root: Path) -> None:
    _move(root)
    # Someone puts another image where a moved one was, and annotates it.
    (root / "duplicates" / "Annotations" / "b.xml").unlink()
    save_picture(root / "JPEGImages" / "b.jpg", make_picture(9))
    (root / "Annotations" / "b.xml").write_bytes(make_xml())
    move_duplicates(root, ())
    assert (root / "Annotations" / "b.xml").exists()


def test_a_relative_link_still_works_after_its_move(tmp_path: Path) -> None:
    save_picture(tmp_path / "cat" / "a.jpg", make_picture(1))
    (tmp_path / "cat" / "b.jpg").symlink_to("a.jpg")
    save_picture(tmp_path / "cat" / "c.jpg", make_picture(2))
    move_duplicates(tmp_path, _find(tmp_path))
    moved = tmp_path / "duplicates" / "cat" / "b.jpg"
    assert moved.is_symlink() and moved.read_bytes() == (tmp_path / "cat" / "a.jpg").read_bytes()
    assert undo_moves(tmp_path).problems == ()
    assert str((tmp_path / "cat" / "b.jpg").readlink()) == "a.jpg"
