"""`reefline dedupe` through the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from reefline.cli import app
from reefline.curation import duplicates
from reefline.system.lock_file import FOLDER_LOCK_FILE, hold_folder
from tests.factories_curation import make_picture, save_picture, snapshot


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_picture(tmp_path / "data" / "a.jpg", make_picture(1))
    save_picture(tmp_path / "data" / "b.jpg", make_picture(1, size_px=(80, 60)))
    (tmp_path / "data" / "c.jpg").write_bytes(b"junk")
    return tmp_path / "data"


def test_duplicates_move_and_come_back(folder: Path) -> None:
    before = snapshot(folder)
    result = CliRunner().invoke(app, ["dedupe", str(folder)])
    assert result.exit_code == 0, result.output
    assert "unreadable, left where it is: c.jpg" in result.output
    assert "3 images: 0 exact copies, 1 near duplicates, 1 unreadable; moved to" in result.output
    assert (folder / "duplicates" / "b.jpg").is_file()
    result = CliRunner().invoke(app, ["dedupe", str(folder), "--undo"])
    assert result.exit_code == 0
    assert "1 images are back where they were" in result.output
    assert snapshot(folder) == before


def test_a_dry_run_changes_nothing(folder: Path) -> None:
    before = snapshot(folder)
    result = CliRunner().invoke(app, ["dedupe", str(folder), "--dry-run"])
    assert result.exit_code == 0
    assert "b.jpg: near duplicate, " in result.output and " of a.jpg" in result.output
    assert snapshot(folder) == before


def test_json_has_what_moved_and_what_came_back(folder: Path) -> None:
    result = CliRunner().invoke(app, ["dedupe", str(folder), "--json"])
    found = json.loads(result.stdout)
    (duplicate,) = found.pop("duplicates")
    assert (duplicate["image"], duplicate["kept"], duplicate["labels_differ"]) == ("b.jpg", "a.jpg", False)
    problem = "not a readable JPEG, PNG, BMP, WebP, GIF or TIFF image, despite its name"
    unreadable = [{"image": "c.jpg", "problem": problem}]
    assert found == {"images": 3, "unreadable": unreadable, "left_out": [], "is_dry_run": False}
    result = CliRunner().invoke(app, ["dedupe", str(folder), "--undo", "--json"])
    assert json.loads(result.stdout) == {"restored": 1, "problems": []}


def test_a_folder_is_changed_by_one_command_at_a_time(folder: Path) -> None:
    CliRunner().invoke(app, ["dedupe", str(folder)])
    save_picture(folder / "d.jpg", make_picture(1))
    before = snapshot(folder)
    for options in ([], ["--undo"]):
        with hold_folder(folder):
            result = CliRunner().invoke(app, ["dedupe", str(folder), *options])
        assert result.exit_code == 2 and "another reefline command is writing to it" in result.output
    assert snapshot(folder) == before


def test_nothing_changes_the_folder_between_search_and_moves(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second command that starts during the search would move by a result that the first makes wrong."""
    second: list[Result] = []
    find_duplicates = duplicates.find_duplicates

    def search_during_search(*arguments: Any) -> duplicates.DuplicateSearch:
        monkeypatch.setattr(duplicates, "find_duplicates", find_duplicates)
        second.append(CliRunner().invoke(app, ["dedupe", str(folder)]))
        dry_run = CliRunner().invoke(app, ["dedupe", str(folder), "--dry-run"])
        assert dry_run.exit_code == 0, dry_run.output
        return find_duplicates(*arguments)

    monkeypatch.setattr(duplicates, "find_duplicates", search_during_search)
    first = CliRunner().invoke(app, ["dedupe", str(folder)])
    assert (first.exit_code, second[0].exit_code) == (0, 2)
    assert "1 near duplicates" in first.output
    assert "another reefline command is writing to it" in second[0].output
    assert not (folder / FOLDER_LOCK_FILE).exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["--undo", "--dry-run"], "--undo brings back everything: pass it alone", id="undo"),
        pytest.param(["--undo"], "nothing to undo", id="nothing"),
        pytest.param(["--max-bits", "17"], "Invalid value for '--max-bits'", id="bits"),
        pytest.param(["--against", "missing"], "missing: no such folder", id="against"),
    ],
)
def test_errors_say_what_to_do(folder: Path, options: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["dedupe", str(folder), *options])
    assert result.exit_code == 2
    assert message in result.output


def test_ctrl_c_is_130(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(duplicates, "read_data_folder", stop)
    result = CliRunner().invoke(app, ["dedupe", str(folder)])
    assert result.exit_code == 130
    assert "stopped by Ctrl-C; run the same command to finish, or pass --undo" in result.output


def test_images_with_unusable_names_are_listed(folder: Path) -> None:
    (folder / os.fsdecode(b"\xff.jpg")).write_bytes((folder / "a.jpg").read_bytes())
    (folder / os.fsdecode(b"d\xffg")).mkdir()
    (folder / "lost.xml").write_text("<annotation>")
    result = CliRunner().invoke(app, ["dedupe", str(folder), "--dry-run"])
    assert result.exit_code == 0, result.output
    assert "left out: \\xff.jpg: the name is not UTF-8" in result.output
    assert "left out: d\\xffg: the name is not UTF-8" in result.output
    assert "lost.xml" not in result.output
