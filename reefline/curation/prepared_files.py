"""What `reefline prepare` wrote to its output folder, so that a second run writes only what changed.

Annotations that a person drew or corrected there are recognized by their content. They are never replaced or deleted,
and neither are their images, whose pixels the boxes were drawn on.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from reefline.curation.output_folder import write_file
from reefline.system.files import write_whole
from reefline.system.record import Record

# Hidden, so that it is not part of the data set.
_STATE_FILE = ".reefline-prepare.jsonl"


@dataclass(frozen=True)
class WrittenFile(Record):
    """A written file, relative to the output folder; equal keys mean equal content. An annotation's is its sha256.

    An image that is about to be written has the key "". `source` is an image's path in the input.
    """

    name: str
    key: str
    bytes: int
    source: str | None = None


class PreparedFiles:
    """The files in an output folder that are known to be written; use it as a context manager."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._known: dict[str, WrittenFile] = {}
        # All lines: a crash may come between an annotation's line and the file.
        self._written: set[tuple[str, str]] = set()
        for line in _read_state(out / _STATE_FILE):
            self._known[line.name] = line
            self._written.add((line.name, line.key))
        self._edited: frozenset[str] = frozenset()
        self._edited_by_stem: dict[str, str] = {}

    def __enter__(self) -> PreparedFiles:
        names = (path.relative_to(self._out) for path in self._out.rglob("*.xml") if path.is_file())
        shown = (name for name in names if not any(part.startswith(".") for part in name.parts))
        self._edited = frozenset(name.as_posix() for name in shown if not self.wrote(name))
        self._edited_by_stem = {PurePosixPath(name).stem: name for name in sorted(self._edited)}
        self._journal = (self._out / _STATE_FILE).open("a", encoding="utf-8")
        # A crash may have cut the last line.
        self._journal.write("\n")
        return self

    def __exit__(self, *_: object) -> None:
        # A full disk: what is not noted is written again.
        with contextlib.suppress(OSError):
            self._journal.close()

    @property
    def edited(self) -> tuple[str, ...]:
        """The annotations that someone drew or changed, which are kept as they are with their images."""
        return tuple(sorted(self._edited))

    def edited_annotation(self, name: str) -> str | None:
        """Return the annotation of an image of the output that someone drew or changed, None for none."""
        return self._edited_by_stem.get(PurePosixPath(name).stem) if (self._out / name).is_file() else None

    def wrote(self, name: Path) -> bool:
        """Return whether a file, relative to the output folder, was written by `prepare` and not changed since."""
        known = self._known.get(name.as_posix())
        if known is None:
            return False
        path = self._out / name
        if name.suffix == ".xml":
            return (known.name, hashlib.sha256(path.read_bytes()).hexdigest()) in self._written
        return known.key == "" or path.stat().st_size == known.bytes

    def earlier_stems(self, images: Collection[str]) -> dict[str, str]:
        """Return the names without suffix that images of the input have from an earlier call.

        Names of annotations that are kept are in use, too, whatever has become of their images in the input.
        """
        wanted, edited = set(images), self._edited_by_stem
        stems = {line.source: PurePosixPath(name).stem for name, line in self._known.items() if line.source is not None}
        kept = {source: stem for source, stem in stems.items() if source in wanted or stem in edited}
        with_image = {PurePosixPath(name).stem for name in self._known if not name.endswith(".xml")}
        return kept | {name: stem for stem, name in edited.items() if stem not in with_image}

    def is_current(self, name: str, key: str) -> bool:
        """Return whether an image need not be written: it has this key and its length, or a kept annotation."""
        if self.edited_annotation(name) is not None:
            return True
        known = self._known.get(name)
        if known is None or known.key != key:
            return False
        with contextlib.suppress(OSError):
            return (self._out / name).stat().st_size == known.bytes
        return False

    def note(self, written: WrittenFile) -> None:
        """Remember a written file, even after a crash of this process.

        Raises:
            OSError: the note cannot be written.
        """
        self._known[written.name] = written
        self._written.add((written.name, written.key))
        self._journal.write(json.dumps(written.to_json()) + "\n")
        self._journal.flush()

    def write_annotation(self, name: str, content: bytes) -> None:
        """Write an annotation unless the file has that content, or is one of `edited`.

        Raises:
            OSError: it cannot be written.
        """
        if name in self._edited:
            return
        path, key = self._out / name, hashlib.sha256(content).hexdigest()
        # Noted first: a file that nobody noted would count as someone's own.
        self.note(WrittenFile(name, key, len(content)))
        if not path.is_file() or path.read_bytes() != content:
            write_file(path, content)

    def remove_others(self, wanted: Collection[str]) -> int:
        """Delete written files that are no longer wanted, and return how many images; see `edited` for what stays.

        Raises:
            OSError: a file cannot be deleted.
        """
        removed = 0
        for name in sorted(set(self._known) - set(wanted)):
            if PurePosixPath(name).stem not in self._edited_by_stem:
                removed += not name.endswith(".xml") and (self._out / name).is_file()
                (self._out / name).unlink(missing_ok=True)
                del self._known[name]
        return removed

    def save(self) -> None:
        """Write the notes anew, without what is outdated.

        Raises:
            OSError: they cannot be written.
        """
        lines = (json.dumps(line.to_json()) + "\n" for _, line in sorted(self._known.items()))
        write_whole(self._out / _STATE_FILE, "".join(lines))


def _read_state(path: Path) -> Iterator[WrittenFile]:
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as file:
        for text in file:
            try:
                line = WrittenFile.from_json(json.loads(text))
            except ValueError:
                continue
            place = PurePosixPath(line.name)
            if not place.is_absolute() and ".." not in place.parts:
                yield line
