"""What of a TFLite file will run on the Edge TPU: the record, as JSON and as text."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from reefline.edgetpu.compiled import COMPILED_SUFFIX, CompiledModel, belongs_together, describe_compiled
from reefline.edgetpu.conformance import Conformance, examine_conformance
from reefline.edgetpu.op_limits import ON_CHIP_BYTES
from reefline.edgetpu.placement import (
    PlacedOp,
    Placement,
    describe_left_out,
    place_compiled,
    place_operators,
)
from reefline.errors import BundleError
from reefline.system.terminal import escape_control
from reefline.tflite.graph import EDGE_TPU_OP, NO_TENSOR, Graph
from reefline.tflite.reader import read_graph


@dataclass(frozen=True)
class PlacementSummary:
    """How many operators there are and where they run."""

    total: int
    edgetpu: int
    cpu: int
    uncertain: int


@dataclass(frozen=True)
class ModelAnalysis:
    """Where a model's operators run.

    `conforms` says whether compiler 16.0 takes the model at all; where it does not, nothing runs on the Edge TPU.
    `problems` are what ends a compilation, and what might. `parameter_bytes` are the constants of what maps or might.
    `compiled` is there for a file that the compiler wrote: then `ops` are facts, otherwise a prediction.
    `belongs_to` is the int8 file beside such a file, where it was made from that one; where not, `problems` say why.
    """

    model: str
    conforms: bool
    problems: tuple[str, ...]
    ops: tuple[PlacedOp, ...]
    parameter_bytes: int
    compiled: CompiledModel | None
    belongs_to: str | None = None

    @property
    def summary(self) -> PlacementSummary:
        """The operators, counted."""
        count = Counter(op.placement for op in self.ops)
        return PlacementSummary(
            len(self.ops), count[Placement.EDGETPU], count[Placement.CPU], count[Placement.UNCERTAIN]
        )

    @property
    def fits_on_chip(self) -> bool:
        """Whether the parameters fit the 8 MB of on-chip memory, of which data and instructions take their share."""
        return self.parameter_bytes <= ON_CHIP_BYTES

    def to_json(self) -> dict[str, Any]:
        """Return the record as `analyze --json` prints it."""
        return {
            "model": self.model,
            "conforms": self.conforms,
            "problems": list(self.problems),
            "ops": [op.to_json() for op in self.ops],
            "summary": asdict(self.summary),
            "parameter_bytes": self.parameter_bytes,
            "on_chip_bytes": ON_CHIP_BYTES,
            "fits_on_chip": self.fits_on_chip,
            "compiled": {**self.compiled.to_json(), "belongs_to": self.belongs_to} if self.compiled else None,
        }

    def to_text(self) -> str:
        """Return the summary, the problems, and the operators that do not map with their reasons, as lines."""
        lines = [*self._describe_whole(), *self._describe_problems(), *self._describe_left_out()]
        return "\n".join(escape_control(line) for line in lines)

    def _describe_whole(self) -> list[str]:
        if self.compiled is not None:
            lines = [*_describe_compiled(self.compiled), *self._describe_origin()]
            return [f"{self.model}: {line}" for line in lines]
        summary = self.summary
        verdict = "is taken" if self.conforms else "is refused"
        fits = "fit" if self.fits_on_chip else "do not fit, the rest is streamed with each inference"
        parameters = (
            f"{self.model}: parameters take {self.parameter_bytes / 2**20:.2f} MiB; on-chip memory is "
            f"{ON_CHIP_BYTES // 2**20} MiB: they {fits}"
        )
        return [
            f"{self.model}: {summary.edgetpu} of {summary.total} ops run on the Edge TPU, {summary.cpu} on the CPU, "
            f"{summary.uncertain} are uncertain (a prediction)",
            f"{self.model}: {verdict} by compiler 16.0, as far as its documentation and logs tell",
            *([parameters] if self.conforms else []),
        ]

    def _describe_origin(self) -> list[str]:
        if self.belongs_to is not None:
            return [f"was made from {self.belongs_to}, as far as the two files tell"]
        return ["does not belong to the int8 file beside it, see below"] if self.problems else []

    def _describe_problems(self) -> list[str]:
        return ["", "Problems:", *(f"  {problem}" for problem in self.problems)] if self.problems else []

    def _describe_left_out(self) -> list[str]:
        lines = [f"  {line}" for line in describe_left_out(self.ops)]
        return ["", "Not on the Edge TPU, or uncertain (--json shows every op):", *lines] if lines else []


def analyze_model(path: Path) -> ModelAnalysis:
    """Return where a model's operators will run, or do run where the compiler wrote the file.

    Raises:
        BundleError: the file is not there, is not a TFLite model or is damaged.
    """
    graph = read_graph(path)
    if any(op.name == EDGE_TPU_OP for op in graph.operators):
        return _analyze_compiled(path, graph)
    conformance, placed = examine_conformance(graph), place_operators(graph)
    return ModelAnalysis(
        model=str(path),
        conforms=not conformance.refusals,
        problems=(*conformance.refusals, *conformance.doubts),
        ops=_withdraw(placed, conformance),
        parameter_bytes=_count_parameter_bytes(graph, placed),
        compiled=None,
    )


def _analyze_compiled(path: Path, graph: Graph) -> ModelAnalysis:
    compiled = describe_compiled(path, graph)
    int8_file = path.with_name(f"{path.stem.removesuffix(COMPILED_SUFFIX)}.tflite")
    is_beside = path.stem.endswith(COMPILED_SUFFIX) and int8_file.is_file()
    problems = _find_differences(int8_file, path) if is_beside else ()
    return ModelAnalysis(
        model=str(path),
        conforms=True,
        problems=problems,
        ops=place_compiled(graph),
        parameter_bytes=compiled.cached_parameter_bytes + compiled.streamed_parameter_bytes,
        compiled=compiled,
        belongs_to=str(int8_file) if is_beside and not problems else None,
    )


def _find_differences(int8_file: Path, compiled_file: Path) -> tuple[str, ...]:
    """Return why a compiled file was not made from the file beside it; one that cannot be read is such a reason."""
    try:
        return tuple(belongs_together(int8_file, compiled_file))
    except BundleError as error:
        return error.problems


def _withdraw(placed: tuple[PlacedOp, ...], conformance: Conformance) -> tuple[PlacedOp, ...]:
    """Put everything on the CPU where the compiler refuses the model, and say what would have mapped."""
    if not conformance.refusals:
        return placed
    because = f"the compiler refuses the model: {conformance.refusals[0]}"
    said = {Placement.EDGETPU: f"would map, but {because}", Placement.UNCERTAIN: f"might map, but {because}"}
    return tuple(replace(op, placement=Placement.CPU, reason=said.get(op.placement, op.reason)) for op in placed)


def _count_parameter_bytes(graph: Graph, placed: tuple[PlacedOp, ...]) -> int:
    """Return the bytes of the constants that what maps or might works with, each buffer once."""
    mapped = [op for op, where in zip(graph.operators, placed, strict=True) if where.placement is not Placement.CPU]
    tensors = [graph.tensors[index] for op in mapped for index in op.inputs if index != NO_TENSOR]
    return sum({tensor.buffer: len(tensor.data) for tensor in tensors if tensor.data is not None}.values())


def _describe_compiled(compiled: CompiledModel) -> list[str]:
    build = f" (build {compiled.compiler_build})" if compiled.compiler_build else ""
    executables = ", ".join(f"{e.kind.value} {e.parameter_bytes} bytes" for e in compiled.executables) or "none"
    return [
        f"compiled for the Edge TPU{build}: what runs there is in {compiled.edgetpu_ops} edgetpu-custom-op(s), "
        f"{len(compiled.ops_outside)} op(s) were left outside",
        f"needs runtime {compiled.min_runtime_version} or later",
        f"parameters: {compiled.cached_parameter_bytes} bytes cached on the chip, "
        f"{compiled.streamed_parameter_bytes} bytes streamed with each inference",
        f"executables: {executables}",
    ]
