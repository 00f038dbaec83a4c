"""A recommendation as a record: `local_runner.py` keeps it, so that a second run uses the same config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reefline.system.record import Record


@dataclass(frozen=True)
class TemplateRow:
    """One template in the table; None stands for what is not known.

    `anchor_cover` is the share of boxes that an anchor covers, 0..1; `seconds` is the estimated time of the run.
    """

    template: str
    start: str
    input_px: int
    batch_size: int
    steps: int | None
    epochs: float | None
    edge_tpu_ops: tuple[int, int] | None
    anchor_cover: float
    memory_bytes: int | None
    seconds: float | None


@dataclass(frozen=True)
class LeftOut:
    """A template that does not fit, and why."""

    template: str
    reason: str


@dataclass(frozen=True)
class Recommendation(Record):
    """A recommended config and what it rests on; each text is one line.

    `rows` are the templates that fit, the recommended one first. `config` is the content of the YAML file, and `header`
    its comments.
    """

    minutes: int
    data: str
    machine: str
    measured: str
    rows: tuple[TemplateRow, ...]
    left_out: tuple[LeftOut, ...]
    settings: str
    reason: str
    seconds: float
    notes: tuple[str, ...]
    header: tuple[str, ...]
    config: Mapping[str, Any]
