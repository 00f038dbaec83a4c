from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from reefline.system.files import cache_directory, write_whole


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


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        pytest.param({"XDG_CACHE_HOME": "{}/xdg", "HOME": "{}"}, "{}/xdg/reefline", id="xdg"),
        pytest.param({"HOME": "{}"}, "{}/.cache/reefline", id="home"),
        pytest.param({"HOME": "{}", "XDG_CACHE_HOME": ""}, "{}/.cache/reefline", id="empty-xdg"),
    ],
)
def test_the_cache_is_in_the_home_directory(
    variables: dict[str, str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(tmp_path))
    assert cache_directory() == Path(expected.format(tmp_path))


def test_without_a_home_directory_the_cache_is_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def has_no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", has_no_home)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert cache_directory().parent == tmp_path


def test_with_a_read_only_home_directory_the_cache_is_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "none"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    # Root may write anywhere, so the answer is replaced, not the permission.
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path)
    assert cache_directory().parent == tmp_path
