"""Where each operator of a model runs, and why: the records, as JSON and as text."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from reefline.edgetpu.record import PlacementSource
from reefline.system.record import Record
from reefline.tflite.graph import Operator


class Placement(str, enum.Enum):
    """Where an operator runs."""

    EDGETPU = "edgetpu"
    CPU = "cpu"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True)
class PlacedOp(Record):
    """One operator, where it runs and why; `op` is `Operator.name`.

    `blocked_by` is the index of the operator that decides this one's placement; None if its own limits do.
    """

    index: int
    op: str
    version: int
    placement: Placement
    reason: str
    blocked_by: int | None = None

    @classmethod
    def place(cls, op: Operator, placement: Placement, reason: str, blocked_by: int | None = None) -> PlacedOp:
        """Return an operator of a graph with its placement."""
        return cls(op.index, op.name, op.version, placement, reason, blocked_by)


@dataclass(frozen=True)
class PlacementSummary(Record):
    """How many operators run where."""

    total: int
    edgetpu: int
    cpu: int
    uncertain: int

    @classmethod
    def count(cls, ops: Iterable[PlacedOp]) -> PlacementSummary:
        """Count operators by placement."""
        counts = Counter(op.placement for op in ops)
        return cls(counts.total(), counts[Placement.EDGETPU], counts[Placement.CPU], counts[Placement.UNCERTAIN])


@dataclass(frozen=True)
class PlacementReport(Record):
    """placement.json: where every operator of an exported model runs.

    `source` tells whether the compiler placed the operators or they are predicted. `conforms` is False where the
    compiler rejects the model; then nothing runs on the Edge TPU. `problems` are what ends a compilation, or might.
    `compiler_log` is what edgetpu_compiler printed, "" if it did not run to its end.
    """

    source: PlacementSource
    conforms: bool
    problems: tuple[str, ...]
    summary: PlacementSummary
    ops: tuple[PlacedOp, ...]
    compiler_log: str = ""

    @classmethod
    def of(
        cls, ops: tuple[PlacedOp, ...], *, source: PlacementSource, conforms: bool, problems: tuple[str, ...]
    ) -> PlacementReport:
        """Return the report of placed operators."""
        return cls(source, conforms, problems, PlacementSummary.count(ops), ops)


def withdraw(placed: tuple[PlacedOp, ...], because: str) -> tuple[PlacedOp, ...]:
    """Put every operator on the CPU, and keep as reason what would have mapped."""
    reasons = {Placement.EDGETPU: f"would map, but {because}", Placement.UNCERTAIN: f"might map, but {because}"}
    return tuple(replace(op, placement=Placement.CPU, reason=reasons.get(op.placement, op.reason)) for op in placed)


def describe_left_out(placed: Iterable[PlacedOp]) -> Iterator[str]:
    """Yield a line for each operator that is off the Edge TPU or uncertain by itself, and one for all that follow."""
    left_out = [op for op in placed if op.placement is not Placement.EDGETPU]
    yield from (
        f"op {op.index} {op.op} v{op.version}: {op.placement.value}: {op.reason}"
        for op in left_out
        if op.blocked_by is None
    )
    for placement, state in ((Placement.CPU, "run on the CPU"), (Placement.UNCERTAIN, "are uncertain")):
        counts = Counter(op.op for op in left_out if op.blocked_by is not None and op.placement is placement)
        if counts:
            names = ", ".join(f"{count} {name}" for name, count in counts.most_common())
            yield f"{counts.total()} more ops {state} only because they depend on these: {names}"
