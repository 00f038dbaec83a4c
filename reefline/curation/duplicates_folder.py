"""The folder `duplicates/` of a data set: images moved away, and the journal that brings them back.

Each move is in the journal, on the disk, before it is made. A file is either at its old place or at its new one, so
after a crash both moving on and undoing find out what was done.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from reefline.curation.duplicates import Duplicate
from reefline.curation.output_folder import write_file
from reefline.data.split_lists import is_split_list, shorten_list
from reefline.data.walking import IGNORE_FILE, walk_data_folder
from reefline.errors import DataError
from reefline.system.files import flush_to_disk, write_whole
from reefline.system.lock_file import hold_folder
from reefline.system.record import Record

FOLDER = "duplicates"
JOURNAL_FILE = "undo.jsonl"
CSV_FILE = "duplicates.csv"
PAGE_FILE = "duplicates.html"


@dataclass(frozen=True)
class MovedImage(Record):
    """A line of the journal: an image moved from `image` to `to`, its annotation from `xml` to `xml_to`.

    All paths are relative to the data folder, with slashes. `kept` is the image that stayed for it, `bits` those that
    differ in their hashes, None for an exact copy. Sizes are after EXIF rotation.
    """

    image: str
    to: str
    xml: str | None
    xml_to: str | None
    kept: str
    bits: int | None
    labels_differ: bool
    width_px: int
    height_px: int
    bytes: int
    kept_width_px: int
    kept_height_px: int
    kept_bytes: int

    @property
    def moves(self) -> tuple[tuple[str, str], ...]:
        """The files that move, each from its old to its new path."""
        along = ((self.xml, self.xml_to),) if self.xml is not None and self.xml_to is not None else ()
        return ((self.image, self.to), *along)


@dataclass(frozen=True)
class ShortenedList(Record):
    """A line of the journal: a split list that lost the moved images; `backup` is the list as it was.

    `sha256` is that of the shortened list.
    """

    split_list: str
    backup: str
    sha256: str


@dataclass(frozen=True)
class UndoResult:
    """How many images are back, and what could not be undone."""

    restored: int
    problems: tuple[str, ...]


def check_duplicates_folder(root: Path) -> None:
    """Check that `duplicates/` is missing, empty, or was made by an earlier search.

    Raises:
        DataError: it holds other files.
    """
    folder = root / FOLDER
    if folder.exists() and not (folder / JOURNAL_FILE).is_file() and not _is_empty(folder):
        raise DataError(f"{folder}: holds files that `reefline dedupe` did not write: rename it, then run again")


def move_duplicates(root: Path, duplicates: Sequence[Duplicate]) -> None:
    """Move images and their annotations to `duplicates/`, under the paths that they had.

    Annotations that a stopped call left behind follow their images first.

    Raises:
        DataError: `duplicates/` holds other files.
        OSError: a file cannot be moved; those moved before stay moved, and the journal has them.
    """
    check_duplicates_folder(root)
    _finish_moves(root)
    if not duplicates:
        return
    folder = root / FOLDER
    folder.mkdir(exist_ok=True)
    # The journal first: it marks the folder as made by this command.
    taken: set[str] = set()
    lines = [_plan_move(root, duplicate, taken) for duplicate in duplicates]
    _append(folder / JOURNAL_FILE, lines)
    write_file(folder / IGNORE_FILE, b"")
    for line in lines:
        for old, new in line.moves:
            _move(root / old, root / new)


def _finish_moves(root: Path) -> None:
    for line in read_moves(root):
        if line.xml is None or line.xml_to is None or os.path.lexists(root / line.image):
            continue
        if os.path.lexists(root / line.xml) and not os.path.lexists(root / line.xml_to):
            _move(root / line.xml, root / line.xml_to)


def shorten_split_lists(root: Path) -> None:
    """Remove the names of moved images from the split lists, which would name missing images otherwise.

    Raises:
        OSError: a list cannot be written.
    """
    gone = [old for line in read_moves(root) for old, _ in line.moves]
    names = walk_data_folder(root).files if gone else []
    for split_list in filter(is_split_list, names):
        shorter = shorten_list(root, split_list, gone, names)
        if shorter is None:
            continue
        backup = _free_path(root, split_list, set())
        _append(root / FOLDER / JOURNAL_FILE, [ShortenedList(split_list, backup, hashlib.sha256(shorter).hexdigest())])
        write_file(root / backup, (root / split_list).read_bytes())
        write_whole(root / split_list, shorter)


def read_moves(root: Path) -> tuple[MovedImage, ...]:
    """Return the journal's images that lie in `duplicates/` now.

    Raises:
        OSError: the journal cannot be read.
    """
    lines = (line for line in _read_journal(root) if isinstance(line, MovedImage))
    # Of two lines with the same target only the later move was made.
    return tuple({line.to: line for line in lines if os.path.lexists(root / line.to)}.values())


def undo_moves(root: Path) -> UndoResult:
    """Bring everything back that the journal names, and remove `duplicates/` once nothing is left there.

    Raises:
        DataError: there is no journal.
        UsageError: another command is writing to the folder.
        OSError: a file cannot be moved.
    """
    folder = root / FOLDER
    if not (folder / JOURNAL_FILE).is_file():
        raise DataError(f"{folder / JOURNAL_FILE}: no such file: nothing to undo")
    with hold_folder(root):
        return _undo_moves(root)


def _undo_moves(root: Path) -> UndoResult:
    folder = root / FOLDER
    restored, problems = 0, []
    for line in reversed(_read_journal(root)):
        if isinstance(line, ShortenedList):
            problem = _restore_list(root, line)
        else:
            restored += os.path.lexists(root / line.to) and not os.path.lexists(root / line.image)
            found = [_restore(root, old, new) for old, new in line.moves]
            problem = next(filter(None, found), None)
        problems += [] if problem is None else [problem]
    if not problems:
        for name in (CSV_FILE, PAGE_FILE, IGNORE_FILE, JOURNAL_FILE):
            (folder / name).unlink(missing_ok=True)
        _remove_empty(folder)
    return UndoResult(restored, tuple(problems))


def _plan_move(root: Path, duplicate: Duplicate, taken: set[str]) -> MovedImage:
    moved, kept = duplicate.moved, duplicate.kept
    return MovedImage(
        image=moved.image,
        to=_free_path(root, moved.image, taken),
        xml=moved.xml,
        xml_to=None if moved.xml is None else _free_path(root, moved.xml, taken),
        kept=kept.image,
        bits=duplicate.bits,
        labels_differ=duplicate.labels_differ,
        width_px=moved.width_px,
        height_px=moved.height_px,
        bytes=moved.bytes,
        kept_width_px=kept.width_px,
        kept_height_px=kept.height_px,
        kept_bytes=kept.bytes,
    )


def _free_path(root: Path, path: str, taken: set[str]) -> str:
    """Return a path below `duplicates/` that no file has: an earlier search may have moved one of the same name."""
    wanted = PurePosixPath(FOLDER, path)
    found, number = str(wanted), 1
    while found in taken or os.path.lexists(root / found):
        number += 1
        found = str(wanted.with_name(f"{wanted.stem}_{number}{wanted.suffix}"))
    taken.add(found)
    return found


def _append(journal: Path, lines: Iterable[MovedImage | ShortenedList]) -> None:
    """Add lines to the journal; afterwards they are on the disk."""
    text = "".join(json.dumps(line.to_json(), ensure_ascii=True) + "\n" for line in lines)
    with journal.open("a", encoding="utf-8") as file:
        # A crash may have cut the last line.
        file.write(text if file.tell() == 0 else f"\n{text}")
        file.flush()
        os.fsync(file.fileno())
    flush_to_disk(journal.parent)


def _read_journal(root: Path) -> list[MovedImage | ShortenedList]:
    """Return the journal's lines, without those that are cut or point outside the folder."""
    journal = root / FOLDER / JOURNAL_FILE
    if not journal.is_file():
        return []
    lines: list[MovedImage | ShortenedList] = []
    for text in journal.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(text)
            line = (ShortenedList if "split_list" in record else MovedImage).from_json(record)
        except (ValueError, TypeError):
            continue
        if all(map(_is_inside, _paths(line))):
            lines.append(line)
    return lines


def _paths(line: MovedImage | ShortenedList) -> Iterator[str]:
    if isinstance(line, ShortenedList):
        yield from (line.split_list, line.backup)
    else:
        yield from (path for move in line.moves for path in move)


def _is_inside(path: str) -> bool:
    return not PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts


def _move(source: Path, target: Path) -> None:
    """Move a file; a source that is missing was moved before."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink() and not source.readlink().is_absolute():
        _move_relative_link(source, target)
        return
    try:
        source.rename(target)
    except FileNotFoundError:
        if not os.path.lexists(target):
            raise
    except OSError as error:
        # A linked folder may lie on another disk.
        if error.errno != errno.EXDEV:
            raise
        part = target.with_name(f".{target.name}.part")
        shutil.copy2(source, part, follow_symlinks=False)
        part.replace(target)
        source.unlink()


def _move_relative_link(source: Path, target: Path) -> None:
    """Move a link so that it still names the same file."""
    named = source.parent.resolve() / source.readlink()
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    part.symlink_to(os.path.relpath(named, target.parent.resolve()))
    part.replace(target)
    source.unlink()


def _restore(root: Path, old: str, new: str) -> str | None:
    """Move a file back, and return why that is impossible, if it is."""
    if not os.path.lexists(root / new):
        return None
    if os.path.lexists(root / old):
        return f"{root / old}: exists again, so {FOLDER}/ keeps the moved one: rename one of them, then undo again"
    _move(root / new, root / old)
    return None


def _restore_list(root: Path, line: ShortenedList) -> str | None:
    backup, split_list = root / line.backup, root / line.split_list
    if not backup.is_file():
        return None
    content = split_list.read_bytes() if split_list.is_file() else b""
    if content not in (b"", backup.read_bytes()) and hashlib.sha256(content).hexdigest() != line.sha256:
        return f"{split_list}: changed since, so it stays: compare it with {backup}, delete that, then undo again"
    backup.replace(split_list)
    return None


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _remove_empty(folder: Path) -> None:
    """Remove the empty folders in and below a folder, and itself if it is empty then."""
    for place, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):
            Path(place).rmdir()
