"""Loss and learning rate over the steps of a training run: one JSON object per line, appended while it trains."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from reefline.errors import RecordError
from reefline.system.files import write_whole
from reefline.system.record import Record, describe_damage


@dataclass(frozen=True)
class TrainingPoint(Record):
    """One training step: the total loss of its batch, and the learning rate it used."""

    step: int
    loss: float
    learning_rate: float


class TrainingHistory:
    """Appends points to a file; a resumed run's points after the step it resumes from are dropped."""

    def __init__(self, path: Path, *, resumed_step: int, is_chief: bool = True) -> None:
        """Append to `path`; of several workers only the chief writes.

        Raises:
            RecordError: the file of the run to resume is damaged.
        """
        self._path = path
        self._is_chief = is_chief
        if is_chief:
            kept = [point for point in read_history(path) if point.step <= resumed_step] if resumed_step else []
            write_whole(path, "".join(map(_to_line, kept)))

    def append(self, point: TrainingPoint) -> None:
        """Write a point at the end; a reader sees it at once."""
        if self._is_chief:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(_to_line(point))


def read_history(path: Path) -> tuple[TrainingPoint, ...]:
    """Return the points written so far, none for a missing file; an incomplete last line is left out.

    Raises:
        RecordError: another line is damaged.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return ()
    # A process may be killed in the middle of a line: only one that ends with a line break is complete.
    return tuple(_from_line(line, f"{path}, line {number}") for number, line in enumerate(lines[:-1], start=1))


def _to_line(point: TrainingPoint) -> str:
    return json.dumps(point.to_json()) + "\n"


def _from_line(line: bytes, place: str) -> TrainingPoint:
    try:
        return TrainingPoint.from_json(json.loads(line))
    except (ValueError, TypeError) as error:
        raise RecordError(*(f"{place}: {problem}" for problem in describe_damage(error))) from error
