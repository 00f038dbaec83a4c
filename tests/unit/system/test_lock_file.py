"""Locks that end with their process."""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from reefline.system.lock_file import try_lock

HOLD = """
import sys, pathlib
from reefline.system.lock_file import try_lock
file = try_lock(pathlib.Path(sys.argv[1]))
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_lock_is_held_once_and_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "locked\n"
        assert try_lock(path) is None
        holder.kill()
    file = try_lock(path)
    assert file is not None
    file.close()


def test_a_file_that_its_holder_deleted_locks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lock"
    locked = []

    def delete_first(file: object, operation: int) -> None:
        if not locked:
            path.unlink()
        locked.append(operation)

    monkeypatch.setattr(fcntl, "flock", delete_first)
    file = try_lock(path)
    assert file is not None and path.is_file()
    assert len(locked) == 2
    file.close()


@pytest.mark.parametrize(
    ("number", "is_fatal"),
    [pytest.param(errno.ENOLCK, False, id="no-locks"), pytest.param(errno.EIO, True, id="broken-disk")],
)
def test_a_file_system_without_locks_keeps_nobody_out(
    number: int, is_fatal: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "refused")

    monkeypatch.setattr(fcntl, "flock", refuse)
    if is_fatal:
        with pytest.raises(OSError, match="refused"):
            try_lock(tmp_path / "lock")
        return
    file = try_lock(tmp_path / "lock")
    assert file is not None
    file.close()
