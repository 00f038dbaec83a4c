"""The folder that a command writes a data set to: a new one, or one that the same command made before."""

from __future__ import annotations

import contextlib
import enum
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from reefline.errors import DataError, UsageError
from reefline.structures.output_marker import MARKER_FILE, OutputMarker
from reefline.system.files import is_out_of_space, show_path
from reefline.system.lock_file import FOLDER_LOCK_FILE, hold_folder

_CHUNK_BYTES = 1 << 20

IsOwn = Callable[[Path], bool]


# The others write everything again.
_RESUMABLE = frozenset({"prepare", "autolabel"})


class OutputMode(enum.Enum):
    """What to do with an output folder that exists; the values are for messages."""

    NEW = "new"
    RESUME = "--resume"
    OVERWRITE = "--overwrite"


def choose_output_mode(*, resume: bool, overwrite: bool) -> OutputMode:
    """Return the mode for the options --resume and --overwrite.

    Raises:
        UsageError: both are given.
    """
    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude each other: pass one of them")
    return OutputMode.RESUME if resume else OutputMode.OVERWRITE if overwrite else OutputMode.NEW


@contextlib.contextmanager
def hold_output_folder(out: Path, *, inputs: Sequence[Path]) -> Iterator[None]:
    """Keep other runs out of `out`, which is created if missing, with its parents, and removed again if it stays empty.

    Raises:
        UsageError: another run holds it, it is a file, or it lies inside an input folder or around one.
        DataError: it cannot be written.
    """
    _check_apart(out, inputs)
    _check_folder(out)
    created = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        with contextlib.ExitStack() as held:
            with explain_write_errors(out):
                out.mkdir(parents=True, exist_ok=True)
                held.enter_context(hold_folder(out))
            yield
    finally:
        # Deepest first; one that holds anything stays, and so do those above it.
        for folder in created:
            with contextlib.suppress(OSError):
                folder.rmdir()


def claim_output_folder(
    out: Path, command: str, *, inputs: Sequence[Path], mode: OutputMode, is_own: IsOwn | None = None
) -> None:
    """Create `out` for `command`, or reuse what the same command made there before.

    An empty folder counts as new. --overwrite deletes what is inside, and only what `command` wrote; read the input
    before this call, so that a faulty input deletes nothing. See `check_output_folder`.

    Raises:
        UsageError, DataError: those of `check_output_folder`, or `out` cannot be written.
    """
    check_output_folder(out, command, inputs=inputs, mode=mode, is_own=is_own)
    with explain_write_errors(out):
        if _is_used(out) and mode is OutputMode.OVERWRITE:
            _empty(out)
        out.mkdir(parents=True, exist_ok=True)
        OutputMarker(command).write(out / MARKER_FILE)


def check_output_folder(
    out: Path, command: str, *, inputs: Sequence[Path], mode: OutputMode, is_own: IsOwn | None = None
) -> None:
    """Check that `command` may write to `out`, and change nothing.

    `is_own` returns whether `command` wrote a file, given its path relative to `out`, and nobody changed it since.
    Without it, annotations newer than `complete_output_folder` count as changed, and refuse --resume, too, which would
    replace them.

    Raises:
        UsageError: `out` is a file, lies inside an input folder or around one, or holds files and `mode` is NEW.
        DataError: `out` holds files that `command` did not write or that someone changed.
    """
    _check_apart(out, inputs)
    _check_folder(out)
    with explain_write_errors(out):
        if not _is_used(out):
            return
        _check_reusable(out, command, mode)
        if mode is OutputMode.OVERWRITE or is_own is None:
            _check_unchanged(out, command, mode, is_own or _is_older_than_marker(out))


def complete_output_folder(out: Path, command: str) -> None:
    """Note that `command` finished: annotations that change from now on are someone's work.

    Raises:
        DataError: the note cannot be written.
    """
    with explain_write_errors(out):
        OutputMarker(command, is_complete=True).write(out / MARKER_FILE)


@contextlib.contextmanager
def explain_write_errors(out: Path, *, advice: str = "run the command again with --resume") -> Iterator[None]:
    """Turn an OSError of writing to `out` into an error for the user; `advice` is how to continue.

    Raises:
        DataError: a file cannot be written.
    """
    try:
        yield
    except OSError as error:
        where = os.fsdecode(error.filename) if error.filename is not None else str(out)
        remedy = "free space" if is_out_of_space(error) else "fix it, or name another folder"
        raise DataError(f"{where}: cannot write it ({error.strerror}): {remedy}, then {advice}") from error


def copy_file(source: Path, target: Path) -> None:
    """Copy a file's content; `target` appears completely or not at all. Its folder is created.

    Raises:
        DataError: `source` cannot be read.
        OSError: `target` cannot be written.
    """
    with _explain_read_errors(source):
        file = source.open("rb")
    with file, _replacing(target) as part, part.open("wb") as copy:
        while chunk := _read_chunk(file, source):
            copy.write(chunk)


def _read_chunk(file: BinaryIO, source: Path) -> bytes:
    with _explain_read_errors(source):
        return file.read(_CHUNK_BYTES)


@contextlib.contextmanager
def _explain_read_errors(source: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{show_path(source)}: cannot read it ({error.strerror}): fix or remove it, then run the command again"
        ) from error


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


def _is_used(out: Path) -> bool:
    # A call that failed at once leaves the marker alone, one that was killed its lock, too.
    return out.is_dir() and any(entry.name not in (MARKER_FILE, FOLDER_LOCK_FILE) for entry in out.iterdir())


def _check_unchanged(out: Path, command: str, mode: OutputMode, is_own: IsOwn) -> None:
    names = (path.relative_to(out) for path in out.rglob("*") if path.is_file() and not path.is_symlink())
    # Hidden files are notes of commands and file managers.
    shown = (name for name in names if not any(part.startswith(".") for part in name.parts))
    changed = sorted(show_path(name) for name in shown if not is_own(name))
    if changed:
        files = f"{changed[0]} was" if len(changed) == 1 else f"{len(changed)} files ({changed[0]}, …) were"
        raise DataError(
            f"--out {out}: {files} added or changed since `reefline {command}` wrote it, so {mode.value} is refused: "
            "move your files elsewhere, or delete the folder yourself"
        )


def _is_older_than_marker(out: Path) -> IsOwn:
    marker = out / MARKER_FILE
    completed_ns = marker.stat().st_mtime_ns if OutputMarker.read(marker).is_complete else None

    def is_own(name: Path) -> bool:
        is_annotation = name.suffix.lower() == ".xml"
        return completed_ns is None or not is_annotation or (out / name).stat().st_mtime_ns <= completed_ns

    return is_own


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


def _check_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: a file; name a new folder")


def _check_reusable(out: Path, command: str, mode: OutputMode) -> None:
    if mode is OutputMode.NEW:
        options = "--resume to continue, --overwrite" if command in _RESUMABLE else "--overwrite"
        raise UsageError(f"--out {out}: exists and is not empty; pass {options} to start again, or name another folder")
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
        elif entry.name != FOLDER_LOCK_FILE:
            entry.unlink()
