from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from pathlib import Path

import pytest

from reefline.system import files
from reefline.system.files import cache_directory, flush_to_disk, is_out_of_space, write_whole


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


@pytest.mark.parametrize("name", ["a.json", f".a.json.{os.getpid()}.part"], ids=["target", "partial-file"])
def test_a_link_is_replaced_and_not_followed(tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.write_text("untouched")
    (tmp_path / name).symlink_to(outside)
    write_whole(tmp_path / "a.json", "new")
    assert outside.read_text() == "untouched"
    assert (tmp_path / "a.json").read_text() == "new" and not (tmp_path / "a.json").is_symlink()


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
    assert stat.S_IMODE(cache_directory().stat().st_mode) == 0o700


@pytest.mark.parametrize("kind", ["link", "file", "writable-by-others"])
def test_a_temporary_cache_that_others_can_change_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    planted = tmp_path / f"reefline-cache-{os.getuid()}"
    if kind == "link":
        (tmp_path / "theirs").mkdir()
        planted.symlink_to(tmp_path / "theirs")
    elif kind == "file":
        planted.touch()
    else:
        planted.mkdir()
        planted.chmod(0o777)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(Path, "home", lambda: _raise(RuntimeError("Could not determine home directory.")))
    files._private_cache.cache_clear()
    found = cache_directory()
    assert found != planted and found == cache_directory()
    assert stat.S_IMODE(found.stat().st_mode) == 0o700


def _raise(error: Exception) -> Path:
    raise error


def test_with_a_read_only_home_directory_the_cache_is_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "none"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    # Root may write anywhere, so the answer is replaced, not the permission.
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path)
    assert cache_directory().parent == tmp_path
