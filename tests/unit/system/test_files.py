from __future__ import annotations

from pathlib import Path

import pytest

from reefline.system.files import write_whole


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param("größer\n", "größer\n".encode(), id="text"),
        pytest.param(b"\x00\r\n\xff", b"\x00\r\n\xff", id="bytes"),
    ],
)
def test_a_file_is_replaced(tmp_path: Path, content: str | bytes, expected: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"what was there before")
    write_whole(path, content)
    assert path.read_bytes() == expected
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        pytest.param("new", OSError, "a.json", id="rename"),
        pytest.param("\ud800", UnicodeEncodeError, "surrogates", id="write"),
    ],
)
def test_a_failure_leaves_what_was_there(tmp_path: Path, content: str, kind: type[Exception], message: str) -> None:
    folder = tmp_path / "a.json"
    folder.mkdir()
    with pytest.raises(kind, match=message):
        write_whole(folder, content)
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"file"):
        write_whole(tmp_path / "file" / "a.json", "new")
