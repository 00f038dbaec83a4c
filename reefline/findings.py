"""A finding: one thing in the data that was dropped, repaired or is worth a look."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass
from typing import Any


class Action(str, enum.Enum):
    """What was done about a finding; the values are those of summary.json."""

    DROPPED_BOX = "dropped_box"
    DROPPED_IMAGE = "dropped_image"
    FIXED = "fixed"
    KEPT = "kept"


class Severity(str, enum.Enum):
    """How much a finding weighs: an error stops the run before training, a warning is reported, off is dropped."""

    ERROR = "error"
    WARNING = "warning"
    OFF = "off"


@dataclass(frozen=True, order=True)
class Finding:
    """One finding.

    `file` is relative to the data folder, with forward slashes; "" means the data set as a whole.
    `object` is the 0-based index of the <object> in the XML, None where the finding is about the whole file.
    """

    file: str
    object: int | None
    rule: str
    message: str
    action: Action

    def to_json(self) -> dict[str, Any]:
        """Return the finding as summary.json shows it."""
        return {**asdict(self), "action": self.action.value}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Finding:
        """Read back what `to_json` wrote."""
        return cls(**{**record, "action": Action(record["action"])})
