"""A finding: something in the data that was dropped, repaired or deserves a look."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Action(str, enum.Enum):
    """What was done about a finding; the values are those of summary.json."""

    DROPPED_BOX = "dropped_box"
    DROPPED_IMAGE = "dropped_image"
    FIXED = "fixed"
    KEPT = "kept"


class Severity(str, enum.Enum):
    """How much a finding weighs: an error stops the run before training, a warning is reported, off is silent."""

    ERROR = "error"
    WARNING = "warning"
    OFF = "off"


@dataclass(frozen=True)
class Finding:
    """One finding; the reports hold it as JSON, with these names.

    `file` is relative to the data folder, with forward slashes; "" stands for the data set.
    `object` is the 0-based index of the <object> in the XML, None where the finding is about the file.
    """

    file: str
    object: int | None
    rule: str
    message: str
    action: Action
