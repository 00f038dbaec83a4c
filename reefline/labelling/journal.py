"""What is done of an output folder: one line per image, so that a stopped run can be resumed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from reefline.curation.output_folder import write_file
from reefline.errors import UsageError
from reefline.labelling.records import ImageOutcome

# Hidden, so that it is not part of the data set.
_FILE = ".autolabel.jsonl"


class Journal:
    """The outcomes so far; the first line has the settings that they were made with."""

    def __init__(self, out: Path, settings: Mapping[str, str]) -> None:
        """Continue the journal of an output folder, or begin one.

        Raises:
            UsageError: the folder's images were labelled with other settings.
            OSError: the file cannot be written.
        """
        self._path = out / _FILE
        self.outcomes = list(self._read(settings)) if self._path.is_file() else []
        lines = [json.dumps(dict(settings)), *(_to_line(outcome) for outcome in self.outcomes)]
        # Written again: a run that was killed may have left half a line.
        write_file(self._path, "".join(f"{line}\n" for line in lines).encode())

    def add(self, outcome: ImageOutcome) -> None:
        """Note that an image is done.

        Raises:
            OSError: the file cannot be written.
        """
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{_to_line(outcome)}\n")
        self.outcomes.append(outcome)

    def _read(self, settings: Mapping[str, str]) -> Iterator[ImageOutcome]:
        first, *lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
        before = _parse(first)
        if before is not None:
            changed = [name for name in settings if before.get(name) != settings[name]]
            if changed:
                was, now = before.get(changed[0], "?"), settings[changed[0]]
                raise UsageError(
                    f"--resume: this folder was made with another {changed[0]} ({was}, now {now}); pass the same "
                    "options, or --overwrite to start again"
                )
            for line in lines:
                record = _parse(line)
                if record is not None:
                    yield ImageOutcome.from_json(record)


def _to_line(outcome: ImageOutcome) -> str:
    return json.dumps(outcome.to_json())


def _parse(line: str) -> dict[str, str] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
