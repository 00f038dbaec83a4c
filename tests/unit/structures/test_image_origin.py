from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from reefline.structures.image_origin import (
    ORIGINS_FILE,
    ImageOrigin,
    append_origins,
    copy_origins,
    count_licenses,
    find_origins,
    read_origins,
    write_origins,
)
from tests.factories_acquisition import make_origin


def test_origins_are_read_back_in_order(tmp_path: Path) -> None:
    origins = (make_origin("a.jpg", author="Zoë\u2028Ng"), make_origin("b/\udcff.jpg", license=None))
    write_origins(tmp_path, origins[:1])
    append_origins(tmp_path, origins[1:])
    assert read_origins(tmp_path) == origins
    assert len((tmp_path / ORIGINS_FILE).read_bytes().splitlines()) == 2


def test_a_folder_without_the_file_has_no_origins(tmp_path: Path) -> None:
    assert read_origins(tmp_path) == read_origins(tmp_path / "missing") == ()
    assert find_origins(tmp_path) == {}


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"{", id="cut"),
        pytest.param(b"[" * 50_000, id="nested"),
        pytest.param(b"\xff\n", id="not-utf-8"),
        pytest.param(b'{"source-ref": "s3://bucket/a.jpg"}\n', id="of-another-program"),
        pytest.param(b'"' + b"x" * 100_000 + b'"\n', id="too-long"),
    ],
)
def test_a_line_that_is_no_origin_is_skipped_and_spoils_no_other(line: bytes, tmp_path: Path) -> None:
    write_origins(tmp_path, [make_origin("a.jpg")])
    with (tmp_path / ORIGINS_FILE).open("ab") as file:
        file.write(line)
    append_origins(tmp_path, [make_origin("b.jpg")])
    assert [origin.file for origin in read_origins(tmp_path)] == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("file", ["/etc/passwd", "../a.jpg", "a/../../b.jpg", ""])
def test_paths_outside_of_the_folder_are_skipped(file: str, tmp_path: Path) -> None:
    write_origins(tmp_path, [make_origin(file)])
    assert read_origins(tmp_path) == ()


def test_a_full_disk_keeps_the_lines_that_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_origins(tmp_path, [make_origin("a.jpg")])

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        append_origins(tmp_path, [make_origin("b.jpg")])
    monkeypatch.undo()
    assert [origin.file for origin in read_origins(tmp_path)] == ["a.jpg"]


def test_the_nearest_manifest_and_its_last_line_count(tmp_path: Path) -> None:
    (tmp_path / "dog").mkdir()
    write_origins(tmp_path, [make_origin("dog/a.jpg", license="CC0"), make_origin("top.jpg")])
    write_origins(tmp_path / "dog", [make_origin("a.jpg", license="old"), make_origin("a.jpg", license="CC BY 4.0")])
    found = find_origins(tmp_path)
    assert sorted(found) == ["dog/a.jpg", "top.jpg"]
    assert found["dog/a.jpg"] == make_origin("dog/a.jpg", license="CC BY 4.0")


def test_copies_follow_the_images_that_a_step_keeps(tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    (source / "dog").mkdir(parents=True)
    target.mkdir()
    write_origins(source / "dog", [make_origin("a.png"), make_origin("dropped.png")])
    copy_origins(source, target, {"dog/a.png": "JPEGImages/a.jpg", "own.png": "JPEGImages/own.jpg"})
    assert read_origins(target) == (make_origin("JPEGImages/a.jpg"),)


def test_without_origins_nothing_is_written(tmp_path: Path) -> None:
    copy_origins(tmp_path, tmp_path, {"a.png": "b.jpg"})
    assert not list(tmp_path.iterdir())


def test_licenses_are_counted_most_frequent_first() -> None:
    origins: dict[str, ImageOrigin] = {
        "a": make_origin("a", license="CC0"),
        "b": make_origin("b", license="CC BY 4.0"),
        "c": make_origin("c", license="CC BY 4.0"),
        "d": make_origin("d", license=None),
        "not-used": make_origin("not-used", license="CC0"),
    }
    counts = count_licenses(origins, ["a", "b", "c", "d", "own"])
    assert list(counts.items()) == [("CC BY 4.0", 2), ("unknown", 2), ("CC0", 1)]
    assert count_licenses(origins, ["own"]) == {}
