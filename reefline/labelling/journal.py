"""What is done of an output folder: one line per image, so that a stopped run can be resumed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
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
        self._path, self._settings = out / _FILE, dict(settings)
        before, outcomes = _read(self._path)
        if before is not None:
            _check_settings(before, settings)
        self._outcome_of = {outcome.image: outcome for outcome in outcomes}
        # Written again: a run that was killed may have left half a line.
        self._write()

    @property
    def outcomes(self) -> tuple[ImageOutcome, ...]:
        """The last outcome of each image."""
        return tuple(self._outcome_of.values())

    def find(self, image: str) -> ImageOutcome | None:
        """Return the outcome of an image, None if it is not done yet."""
        return self._outcome_of.get(image)

    def add(self, outcome: ImageOutcome) -> None:
        """Note that an image is done, or done again.

        Raises:
            OSError: the file cannot be written.
        """
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{_to_line(outcome)}\n")
        self._outcome_of[outcome.image] = outcome

    def forget(self, images: Iterable[str]) -> None:
        """Remove the outcomes of images.

        Raises:
            OSError: the file cannot be written.
        """
        for image in images:
            del self._outcome_of[image]
        self._write()

    def _write(self) -> None:
        lines = [json.dumps(self._settings), *map(_to_line, self.outcomes)]
        write_file(self._path, "".join(f"{line}\n" for line in lines).encode())


def read_outcomes(out: Path) -> tuple[ImageOutcome, ...]:
    """Return the last outcome of each image in the journal of an output folder; none if it has no journal.

    Raises:
        OSError: the file cannot be read.
    """
    return tuple({outcome.image: outcome for outcome in _read(out / _FILE)[1]}.values())


def _read(path: Path) -> tuple[dict[str, str] | None, list[ImageOutcome]]:
    """Return the settings and the outcomes of a journal; None and no outcomes without readable settings."""
    if not path.is_file():
        return None, []
    first, *lines = path.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
    settings = _parse(first)
    records = [] if settings is None else filter(None, map(_parse, lines))
    return settings, [ImageOutcome.from_json(record) for record in records]


def _check_settings(before: Mapping[str, str], settings: Mapping[str, str]) -> None:
    changed = [name for name in settings if before.get(name) != settings[name]]
    if changed:
        was, now = before.get(changed[0], "?"), settings[changed[0]]
        raise UsageError(
            f"--resume: this folder was made with another {changed[0]} ({was}, now {now}); pass the same "
            "options, or --overwrite to start again"
        )


def _to_line(outcome: ImageOutcome) -> str:
    return json.dumps(outcome.to_json())


def _parse(line: str) -> dict[str, str] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
