"""The file that says which command made an output folder."""

from __future__ import annotations

from dataclasses import dataclass

from reefline.system.record import Record

# Hidden, so that it is not part of the data set.
MARKER_FILE = ".reefline.json"


@dataclass(frozen=True)
class OutputMarker(Record):
    """Names the command that made a folder, and whether it finished: then the file's time is when."""

    command: str
    is_complete: bool = False
