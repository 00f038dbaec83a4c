"""Where an untrained model's operators will run: the record."""

from __future__ import annotations

from dataclasses import dataclass

from reefline.edgetpu.placement_report import PlacedOp
from reefline.edgetpu.record import EdgeTpuRecord
from reefline.system.record import Record


@dataclass(frozen=True)
class Preflight(Record):
    """preflight.json: the counts as in a bundle's record, and each operator that is off the Edge TPU or uncertain.

    `problems` are what ends a compilation, or might; `conforms` is False if one certainly does. `forecast` are lines on
    the parameter cache and the latency, as predicted from the untrained model.
    """

    edgetpu: EdgeTpuRecord
    conforms: bool
    problems: tuple[str, ...]
    left_out: tuple[PlacedOp, ...]
    forecast: tuple[str, ...] = ()
