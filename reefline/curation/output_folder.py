"""The folder that a command writes a data set to: a new one, or one that the same command made before."""

from __future__ import annotations

import contextlib
import enum
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reefline.errors import DataError, UsageError
from reefline.system.files import is_out_of_space
from reefline.system.record import Record

# Hidden, so that it is not part of the data set.
MARKER_FILE = ".reefline.json"


class OutputMode(enum.Enum):
    """What to do with an output folder that exists; the values are for messages."""

    NEW = "new"
    RESUME = "--resume"
    OVERWRITE = "--overwrite"


@dataclass(frozen=True)
class OutputMarker(Record):
    """Says which command made a folder."""

    command: str


def choose_output_mode(*, resume: bool, overwrite: bool) -> OutputMode:
    """Return the mode for the options --resume and --overwrite.

    Raises:
        UsageError: both are given.
    """
    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude each other: pass one of them")
    return OutputMode.RESUME if resume else OutputMode.OVERWRITE if overwrite else OutputMode.NEW


def claim_output_folder(out: Path, command: str, *, inputs: Sequence[Path], mode: OutputMode) -> None:
    """Create `out` for `command`, or reuse what the same command made there before.

    An empty folder counts as new. --overwrite deletes what is inside, and only folders that `command` made.

    Raises:
        UsageError: `out` is a file, lies inside an input folder or around one, or holds files and `mode` is NEW.
        DataError: `out` holds files that `command` did not write, or cannot be written.
    """
    _check_apart(out, inputs)
    with explain_write_errors(out):
        if out.exists() and not out.is_dir():
            raise UsageError(f"--out {out}: a file; name a new folder")
        is_used = out.is_dir() and any(out.iterdir())
        if is_used:
            _check_reusable(out, command, mode)
        if is_used and mode is OutputMode.OVERWRITE:
            _empty(out)
        out.mkdir(parents=True, exist_ok=True)
        OutputMarker(command).write(out / MARKER_FILE)


@contextlib.contextmanager
def explain_write_errors(out: Path) -> Iterator[None]:
    """Turn an OSError of writing to `out` into an error for the user.

    Raises:
        DataError: a file cannot be written.
    """
    try:
        yield
    except OSError as error:
        where = os.fsdecode(error.filename) if error.filename is not None else str(out)
        advice = "free space" if is_out_of_space(error) else "fix it, or name another folder"
        raise DataError(
            f"{where}: cannot write it ({error.strerror}): {advice}, then run the command again with --resume"
        ) from error


def copy_file(source: Path, target: Path) -> None:
    """Copy a file's content; `target` appears completely or not at all. Its folder is created.

    Raises:
        OSError: a file cannot be read or written.
    """
    with _replacing(target) as part:
        shutil.copyfile(source, part)


def write_file(target: Path, content: bytes) -> None:
    """Write a file that appears completely or not at all. Its folder is created.

    Unlike `write_whole` it does not wait for the disk: a data set has thousands of files.

    Raises:
        OSError: the file cannot be written.
    """
    with _replacing(target) as part:
        part.write_bytes(content)


@contextlib.contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{os.getpid()}.part")
    try:
        yield part
        part.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def _check_apart(out: Path, inputs: Sequence[Path]) -> None:
    target = out.resolve()
    for folder in inputs:
        source = folder.resolve()
        if target == source:
            raise UsageError(f"--out {out}: is the input folder; name another one")
        if source in target.parents:
            raise UsageError(f"--out {out}: lies inside the input {folder}; name a folder outside")
        if target in source.parents:
            raise UsageError(f"--out {out}: contains the input {folder}; name another folder")


def _check_reusable(out: Path, command: str, mode: OutputMode) -> None:
    if mode is OutputMode.NEW:
        raise UsageError(
            f"--out {out}: exists and is not empty; pass --resume to continue, --overwrite to start again, "
            "or name another folder"
        )
    marker = out / MARKER_FILE
    if not marker.is_file() or OutputMarker.read(marker).command != command:
        raise DataError(
            f"--out {out}: holds files that `reefline {command}` did not write, so {mode.value} is refused: "
            "name another folder"
        )


def _empty(folder: Path) -> None:
    # The marker goes last: a folder that was half emptied is still known as this command's.
    for entry in sorted(folder.iterdir(), key=lambda path: path.name == MARKER_FILE):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
