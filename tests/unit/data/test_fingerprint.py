from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from reefline.data.fingerprint import check_unchanged, fingerprint_data, fingerprint_files
from reefline.errors import DataError
from reefline.settings import IngestionSettings
from tests.factories import add_image, make_data_set, make_jpeg


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    for name in FILES:
        (folder / name).write_text(f"content of {name}")
    return folder


FILES = ("a.jpg", "sub/b.xml")


def _fingerprint(folder: Path, *, extra: tuple[bytes, ...] = ()) -> str:
    return fingerprint_files(folder, FILES, folder.parent / "memory.db", extra=extra)


def test_names_and_contents_count_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    before = _fingerprint(folder)
    os.utime(folder / "a.jpg", (0, 0))
    assert _fingerprint(folder) == before
    assert fingerprint_files(folder, reversed(FILES), tmp_path / "other.db") == before
    assert _fingerprint(Path(shutil.copytree(folder, tmp_path / "copy"))) == before
    assert _fingerprint(folder, extra=(b"label map",)) != before
    assert fingerprint_files(folder, FILES[:1], tmp_path / "memory.db") != before
    (folder / "a.jpg").write_text("something else")
    assert _fingerprint(folder) != before


def test_two_files_that_change_places_count(folder: Path) -> None:
    before = _fingerprint(folder)
    first, second = ((folder / name).read_text() for name in FILES)
    (folder / FILES[0]).write_text(second)
    (folder / FILES[1]).write_text(first)
    assert _fingerprint(folder) != before


def test_an_unchanged_file_is_not_read_again(folder: Path) -> None:
    path = folder / "a.jpg"
    before, status = _fingerprint(folder), path.stat()
    path.write_text("X" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert _fingerprint(folder) == before
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert _fingerprint(folder) != before


def test_batches_change_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _fingerprint(folder)
    monkeypatch.setattr("reefline.data.fingerprint._FILES_PER_BATCH", 1)
    assert _fingerprint(folder) == before
    path = folder / "sub" / "b.xml"
    status = path.stat()
    path.write_text("X" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert _fingerprint(folder) == before


def test_memory_goes_by_the_real_path_behind_a_link(folder: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    status = (folder / "a.jpg").stat()
    (other / "a.jpg").write_text("Y" * status.st_size)
    os.utime(other / "a.jpg", ns=(status.st_atime_ns, status.st_mtime_ns))
    link = tmp_path / "link"
    link.symlink_to(folder)
    first = _fingerprint(link)
    link.unlink()
    link.symlink_to(other)
    assert _fingerprint(link) != first


def test_a_damaged_memory_is_made_anew(folder: Path) -> None:
    before = _fingerprint(folder)
    memory = folder.parent / "memory.db"
    memory.write_bytes(b"no database" * 100)
    assert _fingerprint(folder) == before
    with sqlite3.connect(memory) as connection:
        assert connection.execute("SELECT COUNT(*) FROM file_hash").fetchone() == (2,)


def _damage_pages(memory: Path) -> None:
    content = memory.read_bytes()
    memory.write_bytes(content[:4096] + b"\xaa" * (len(content) - 4096))


def _make_folder(memory: Path) -> None:
    memory.unlink()
    memory.mkdir()


def _change_columns(memory: Path) -> None:
    memory.unlink()
    with sqlite3.connect(memory) as connection:
        connection.execute("CREATE TABLE file_hash (path TEXT PRIMARY KEY, other TEXT)")


@pytest.mark.parametrize("damage", [_damage_pages, _make_folder, _change_columns])
def test_no_damage_to_the_memory_stops_a_run(folder: Path, damage: Callable[[Path], None]) -> None:
    before = _fingerprint(folder)
    damage(folder.parent / "memory.db")
    assert _fingerprint(folder) == before
    assert _fingerprint(folder) == before


def test_an_unreadable_file_is_reported(folder: Path) -> None:
    (folder / "a.jpg").unlink()
    with pytest.raises(DataError, match=r"a\.jpg: cannot read it \(No such file"):
        _fingerprint(folder)


def _add_late(data: Path) -> None:
    add_image(data, "late", seed=90)


def _replace_image(data: Path) -> None:
    (data / "image_000.jpg").write_bytes(make_jpeg(seed=91))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda data: (data / "image_000.xml").unlink(), id="removed"),
        pytest.param(_add_late, id="added"),
        pytest.param(_replace_image, id="changed"),
    ],
)
def test_data_that_changed_during_ingestion_are_refused(tmp_path: Path, change: Callable[[Path], object]) -> None:
    data, memory = make_data_set(tmp_path / "data", images=3), tmp_path / "memory.db"
    settings = IngestionSettings()
    fingerprint = fingerprint_data(data, settings, memory)
    check_unchanged(str(data), settings, fingerprint, memory)
    change(data)
    with pytest.raises(DataError, match=r"data: changed during ingestion; run again when nothing else writes there"):
        check_unchanged(str(data), settings, fingerprint, memory)
