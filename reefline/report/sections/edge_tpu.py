"""The Edge TPU section: which operators run there and why, memory, the compiler's log, and time per image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from reefline.bundle.export_record import EXPORT_FILE, ExportRecord
from reefline.bundle.layout import EDGE_TPU_FILE, FLOAT_FILE, INT8_FILE
from reefline.edgetpu.compiler.log import CompilerLog
from reefline.edgetpu.compiler.log_parser import parse_log
from reefline.edgetpu.placement_report import PlacedOp, Placement, PlacementReport
from reefline.edgetpu.preflight_report import Preflight
from reefline.edgetpu.record import EdgeTpuRecord
from reefline.evaluation.scores import Scores
from reefline.report.section import Section, render
from reefline.report.sources import RunSources
from reefline.structures.split_detections import BASELINE, FLOAT, SHIPPED

# Real logs have a few thousand characters; the page has room for that many.
_SHOWN_LOG_CHARACTERS = 20_000


@dataclass(frozen=True)
class OperatorCount:
    """How many operators of a type run where."""

    op: str
    edgetpu: int
    cpu: int
    uncertain: int

    @property
    def total(self) -> int:
        """The number of operators of this type."""
        return self.edgetpu + self.cpu + self.uncertain


@dataclass(frozen=True)
class ModelFile:
    """A TFLite file of the bundle and its size."""

    name: str
    size_bytes: int


@dataclass(frozen=True)
class Latency:
    """A model's median time per image on the CPU of the machine that scored it."""

    model: str
    milliseconds: float


@dataclass(frozen=True)
class EdgeTpuFacts:
    """What the section shows.

    `is_untrained` is True where the facts are the preflight's; then `ops` holds only what is off the Edge TPU.
    `log` and `log_text` are the compiler's, None and "" if it did not run to its end. `forecast` are the preflight's
    lines on memory and latency.
    """

    is_untrained: bool
    edgetpu: EdgeTpuRecord
    problems: tuple[str, ...]
    ops: tuple[PlacedOp, ...]
    input_size_px: tuple[int, int] | None = None
    files: tuple[ModelFile, ...] = ()
    latencies: tuple[Latency, ...] = ()
    log: CompilerLog | None = None
    log_text: str = ""
    forecast: tuple[str, ...] = ()

    @property
    def share(self) -> float | None:
        """The share of operators on the Edge TPU, 0..1; None for a model without operators."""
        return self.edgetpu.ops_on_tpu / self.edgetpu.ops_total if self.edgetpu.ops_total else None

    @property
    def left_out(self) -> tuple[PlacedOp, ...]:
        """The operators that are off the Edge TPU or uncertain."""
        return tuple(op for op in self.ops if op.placement is not Placement.EDGETPU)

    @property
    def kinds(self) -> tuple[OperatorCount, ...]:
        """The operators by type, the most frequent first."""
        return count_operators(self.ops)


def make_edge_tpu_section(sources: RunSources, *, stopped_with: EdgeTpuRecord | None = None) -> Section | None:
    """Return the section of an exported model, or of the preflight if the run stopped before an export.

    `stopped_with` is the record of a run that the preflight stopped, which leaves no artifact.

    Raises:
        RecordError: a record is missing or damaged.
    """
    facts = find_edge_tpu_facts(sources, stopped_with=stopped_with)
    return None if facts is None else Section("edge-tpu", "Edge TPU", render("edge_tpu.html", facts=facts))


def find_edge_tpu_facts(sources: RunSources, *, stopped_with: EdgeTpuRecord | None = None) -> EdgeTpuFacts | None:
    """Return what is known about the model on the Edge TPU; None if the run did not get that far.

    `stopped_with` is as in `make_edge_tpu_section`.

    Raises:
        RecordError: a record is missing or damaged.
    """
    preflight = None if sources.preflight is None else Preflight.read(sources.preflight.preflight)
    if sources.model is not None:
        export = ExportRecord.read(sources.model.bundle / EXPORT_FILE)
        placement = PlacementReport.read(sources.model.placement)
        return EdgeTpuFacts(
            is_untrained=False,
            edgetpu=export.edgetpu,
            problems=placement.problems,
            ops=placement.ops,
            input_size_px=(export.width_px, export.height_px),
            files=_measure_files(sources.model.bundle),
            latencies=() if sources.scores is None else list_latencies(Scores.read(sources.scores.scores)),
            log=parse_log(placement.compiler_log) if placement.compiler_log else None,
            log_text=_shorten(placement.compiler_log),
            forecast=() if preflight is None else preflight.forecast,
        )
    if preflight is not None:
        return EdgeTpuFacts(
            True, preflight.edgetpu, preflight.problems, preflight.left_out, forecast=preflight.forecast
        )
    return EdgeTpuFacts(True, stopped_with, (), ()) if stopped_with else None


def count_operators(ops: Iterable[PlacedOp]) -> tuple[OperatorCount, ...]:
    """Return how many operators of each type run where, the most frequent type first."""
    placed = Counter((op.op, op.placement) for op in ops)
    kinds = [
        OperatorCount(op, *(placed[op, place] for place in (Placement.EDGETPU, Placement.CPU, Placement.UNCERTAIN)))
        for op in {op for op, _ in placed}
    ]
    return tuple(sorted(kinds, key=lambda kind: (-kind.total, kind.op)))


def list_latencies(scores: Scores) -> tuple[Latency, ...]:
    """Return the time of each scored model, the shipped one first."""
    names = {
        SHIPPED: f"Shipped model ({scores.shipped_precision.value})",
        FLOAT: "Float model",
        BASELINE: f"Baseline (version {scores.baseline_version})",
    }
    return tuple(
        Latency(name, scores.milliseconds[model]) for model, name in names.items() if model in scores.milliseconds
    )


def _measure_files(bundle: Path) -> tuple[ModelFile, ...]:
    paths = (bundle / name for name in (INT8_FILE, EDGE_TPU_FILE, FLOAT_FILE))
    return tuple(ModelFile(path.name, path.stat().st_size) for path in paths if path.is_file())


def _shorten(log: str) -> str:
    """Return the end of a long log: totals and table are its last lines."""
    if len(log) <= _SHOWN_LOG_CHARACTERS:
        return log
    return f"[{len(log) - _SHOWN_LOG_CHARACTERS} characters left out]\n{log[-_SHOWN_LOG_CHARACTERS:]}"
