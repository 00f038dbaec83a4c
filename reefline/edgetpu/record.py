"""Whether a model is compiled and how many operators map: the "edgetpu" part of summary.json and manifest.json."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from reefline.errors import UserError
from reefline.system.record import Record


class PlacementSource(str, enum.Enum):
    """Where placements come from."""

    COMPILER = "compiler"
    PREDICTION = "prediction"


@dataclass(frozen=True)
class EdgeTpuRecord(Record):
    """Whether a model is compiled and where its operators run; `reason` explains it in one sentence."""

    compiled: bool
    compiler_version: str | None
    source: PlacementSource
    ops_total: int
    ops_on_tpu: int
    ops_on_cpu: int
    ops_uncertain: int
    reason: str


class PreflightError(UserError):
    """A model that the gate would refuse for its placement, whatever it learns."""

    def __init__(self, *problems: str, edgetpu: EdgeTpuRecord) -> None:
        super().__init__(*problems)
        self.edgetpu = edgetpu
