from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

import pytest

from reefline.system.files import flush_to_disk, is_out_of_space, write_whole


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


def test_the_folder_is_flushed_after_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(
        "reefline.system.files.flush_to_disk", lambda path: seen.append((path, (path / "a.json").read_text()))
    )
    write_whole(tmp_path / "a.json", "new")
    assert seen == [(tmp_path, "new")]


@pytest.mark.parametrize(
    ("number", "is_folder", "raised"),
    [
        pytest.param(errno.EINVAL, True, False, id="folders-cannot-be-flushed"),
        pytest.param(errno.EINVAL, False, True, id="a-file"),
        pytest.param(errno.EIO, True, True, id="disk-error"),
    ],
)
def test_only_a_file_system_without_fsync_on_folders_is_excused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, is_folder: bool, raised: bool
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(number, "refused")

    monkeypatch.setattr(os, "fsync", fail)
    (tmp_path / "a").touch()
    path = tmp_path if is_folder else tmp_path / "a"
    with pytest.raises(OSError, match="refused") if raised else contextlib.nullcontext():
        flush_to_disk(path)


def _chained(cause: Exception) -> Exception:
    error = RuntimeError("outer")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(OSError(errno.ENOSPC, "x"), True, id="full"),
        pytest.param(OSError(errno.EDQUOT, "x"), True, id="quota"),
        pytest.param(OSError(errno.EFBIG, "x"), True, id="file-too-large"),
        pytest.param(_chained(OSError(errno.ENOSPC, "x")), True, id="cause"),
        pytest.param(RuntimeError("database or disk is full"), True, id="sqlite"),
        pytest.param(RuntimeError("RESOURCE_EXHAUSTED: a/b; No space left on device"), True, id="tensorflow"),
        pytest.param(OSError(errno.EACCES, "Permission denied"), False, id="permission"),
        pytest.param(ValueError("space"), False, id="other"),
    ],
)
def test_out_of_space_by_errno_and_in_words(error: Exception, expected: bool) -> None:
    assert is_out_of_space(error) is expected


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"file"):
        write_whole(tmp_path / "file" / "a.json", "new")
