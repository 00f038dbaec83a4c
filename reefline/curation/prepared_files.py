"""What `reefline prepare` wrote to its output folder, so that a second run writes only what changed.

Annotations that a person corrected there are recognized by their content, and never replaced or deleted.
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
    """A written file, relative to the output folder; equal keys mean equal content. An annotation's is its sha256."""

    name: str
    key: str
    bytes: int


class PreparedFiles:
    """The files in an output folder that are known to be written; use it as a context manager."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._known = {line.name: line for line in _read_state(out / _STATE_FILE)}
        self._edited: list[str] = []

    def __enter__(self) -> PreparedFiles:
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
        """The annotations that someone changed, which were kept as they are."""
        return tuple(self._edited)

    def is_current(self, name: str, key: str) -> bool:
        """Return whether an image was written with this key, and is still as long as it was."""
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
        self._journal.write(json.dumps(written.to_json()) + "\n")
        self._journal.flush()

    def write_annotation(self, name: str, content: bytes) -> None:
        """Write an annotation unless the file has that content, or content that this command did not write.

        Raises:
            OSError: it cannot be written.
        """
        path, key = self._out / name, hashlib.sha256(content).hexdigest()
        found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        if found is not None and found != key and not self._wrote(name, found):
            self._edited.append(name)
            return
        # Noted first: a file that nobody noted would count as someone's own.
        self.note(WrittenFile(name, key, len(content)))
        if found != key:
            write_file(path, content)

    def remove_others(self, wanted: Collection[str]) -> int:
        """Delete written files that are no longer wanted, and return how many images; edited annotations stay.

        Raises:
            OSError: a file cannot be deleted.
        """
        removed = 0
        stale = sorted(set(self._known) - set(wanted))
        edited = {name for name in stale if self._is_edited(name)}
        self._edited += sorted(edited)
        # An annotation that stays needs its image.
        stems = {PurePosixPath(name).stem for name in edited}
        for name in stale:
            if PurePosixPath(name).stem not in stems:
                (self._out / name).unlink(missing_ok=True)
                removed += not name.endswith(".xml")
                del self._known[name]
        return removed

    def save(self) -> None:
        """Write the notes anew, without what is outdated.

        Raises:
            OSError: they cannot be written.
        """
        lines = (json.dumps(line.to_json()) + "\n" for _, line in sorted(self._known.items()))
        write_whole(self._out / _STATE_FILE, "".join(lines))

    def _wrote(self, name: str, sha256: str) -> bool:
        known = self._known.get(name)
        return known is not None and known.key == sha256

    def _is_edited(self, name: str) -> bool:
        path = self._out / name
        return (
            name.endswith(".xml")
            and path.is_file()
            and not self._wrote(name, hashlib.sha256(path.read_bytes()).hexdigest())
        )


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
