"""What of a TFLite file runs on the Edge TPU: the record, as JSON and as text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from reefline.edgetpu.compiled import COMPILED_SUFFIX, CompiledModel, belongs_together, describe_compiled
from reefline.edgetpu.conformance import examine_conformance
from reefline.edgetpu.latency import LatencyEstimate, estimate_latency, explain_no_estimate
from reefline.edgetpu.op_limits import ON_CHIP_BYTES
from reefline.edgetpu.parameter_cache import ParameterCache, predict_cache
from reefline.edgetpu.placement import place_compiled, place_operators
from reefline.edgetpu.placement_report import (
    PlacedOp,
    Placement,
    PlacementSummary,
    describe_left_out,
    withdraw,
)
from reefline.errors import BundleError
from reefline.system.record import Record
from reefline.system.terminal import escape_control
from reefline.tflite.graph import NO_TENSOR, Graph
from reefline.tflite.reader import read_graph


@dataclass(frozen=True)
class ModelAnalysis(Record):
    """Where a model's operators run, as `analyze --json` prints it.

    `conforms` tells whether compiler 16.0 accepts the model; if not, nothing runs on the Edge TPU. `problems` are what
    ends a compilation, or might, and why a compiled file does not belong to the int8 file next to it.
    `parameter_bytes` are the constants of the operators that map or might, as the file has them; `fits_on_chip`
    compares them with all of the chip's memory. `cache` predicts what the compiler does with them, `latency` the time
    of an inference; both are None for a compiled file, and for one that the compiler rejects or maps nothing of.
    `no_latency` tells why only the latency is None.
    `compiled` is set for a compiled file: then `ops` are facts, otherwise a prediction.
    """

    model: str
    conforms: bool
    problems: tuple[str, ...]
    ops: tuple[PlacedOp, ...]
    summary: PlacementSummary
    parameter_bytes: int
    on_chip_bytes: int
    fits_on_chip: bool
    compiled: CompiledModel | None
    cache: ParameterCache | None = None
    latency: LatencyEstimate | None = None
    no_latency: str | None = None

    def forecast(self) -> list[str]:
        """Return lines on memory and latency; none without a prediction."""
        is_partial = self.summary.edgetpu < self.summary.total
        lines = [] if self.cache is None else [*self.cache.describe(is_partial=is_partial)]
        lines += [] if self.latency is None else [self.latency.describe()]
        return lines if self.no_latency is None else [*lines, f"no latency estimate: {self.no_latency}"]

    def to_text(self) -> str:
        """Return the summary, the problems, and the operators that do not map with their reasons, as lines."""
        lines = [f"{self.model}: {line}" for line in self._describe_model()]
        if self.problems:
            lines += ["", "Problems:", *(f"  {problem}" for problem in self.problems)]
        left_out = [f"  {line}" for line in describe_left_out(self.ops)]
        if left_out:
            lines += ["", "Not on the Edge TPU, or uncertain (--json lists every op):", *left_out]
        return "\n".join(map(escape_control, lines))

    def _describe_model(self) -> list[str]:
        if self.compiled is not None:
            return [*_describe_compiled(self.compiled), *self._describe_origin(self.compiled)]
        summary = self.summary
        return [
            f"{summary.edgetpu} of {summary.total} ops run on the Edge TPU, {summary.cpu} on the CPU, "
            f"{summary.uncertain} are uncertain (prediction)",
            f"{'expected' if self.conforms else 'not expected'} to compile with edgetpu_compiler 16.0 (prediction)",
            *self.forecast(),
        ]

    def _describe_origin(self, compiled: CompiledModel) -> list[str]:
        if compiled.belongs_to is not None:
            return [f"made from {compiled.belongs_to}, as far as the two files show"]
        return ["does not match the int8 file next to it (see Problems)"] if self.problems else []


def analyze_model(path: Path) -> ModelAnalysis:
    """Return where a model's operators will run, or do run if the file is compiled.

    Raises:
        BundleError: the file is missing, damaged or not a TFLite model.
    """
    return analyze_graph(path, read_graph(path))


def analyze_graph(path: Path, graph: Graph) -> ModelAnalysis:
    """Return the analysis of a file whose graph is already read.

    Raises:
        BundleError: a compiled file's package for the Edge TPU is damaged.
    """
    compiled = describe_compiled(path, graph)
    if compiled is not None:
        return _analyze_compiled(path, graph, compiled)
    conformance, placed = examine_conformance(graph), place_operators(graph)
    refusals = conformance.refusals
    ops = withdraw(placed, f"the compiler rejects the model: {refusals[0]}") if refusals else placed
    parameter_bytes = _count_parameter_bytes(graph, placed)
    summary = PlacementSummary.count(ops)
    cache = predict_cache(graph, placed) if summary.edgetpu + summary.uncertain else None
    return ModelAnalysis(
        model=str(path),
        conforms=not refusals,
        problems=(*refusals, *conformance.doubts),
        ops=ops,
        summary=summary,
        parameter_bytes=parameter_bytes,
        on_chip_bytes=ON_CHIP_BYTES,
        fits_on_chip=parameter_bytes <= ON_CHIP_BYTES,
        compiled=None,
        cache=cache,
        latency=None if cache is None else estimate_latency(graph, placed, cache),
        no_latency=None if cache is None else explain_no_estimate(placed, cache),
    )


def _analyze_compiled(path: Path, graph: Graph, compiled: CompiledModel) -> ModelAnalysis:
    int8_file = path.with_name(f"{path.stem.removesuffix(COMPILED_SUFFIX)}.tflite")
    has_neighbour = path.stem.endswith(COMPILED_SUFFIX) and int8_file.is_file()
    problems = _find_differences(int8_file, path) if has_neighbour else ()
    ops = place_compiled(graph)
    parameter_bytes = compiled.cached_parameter_bytes + compiled.streamed_parameter_bytes
    return ModelAnalysis(
        model=str(path),
        conforms=True,
        problems=problems,
        ops=ops,
        summary=PlacementSummary.count(ops),
        parameter_bytes=parameter_bytes,
        on_chip_bytes=ON_CHIP_BYTES,
        fits_on_chip=parameter_bytes <= ON_CHIP_BYTES,
        compiled=replace(compiled, belongs_to=str(int8_file)) if has_neighbour and not problems else compiled,
    )


def _find_differences(int8_file: Path, compiled_file: Path) -> tuple[str, ...]:
    """Return why a compiled file was not made from the file next to it; an unreadable neighbour is such a reason."""
    try:
        return tuple(belongs_together(int8_file, compiled_file))
    except BundleError as error:
        return error.problems


def _count_parameter_bytes(graph: Graph, placed: tuple[PlacedOp, ...]) -> int:
    """Return the bytes of the constants of the operators that map or might; each buffer counts once."""
    mapped = [op for op, where in zip(graph.operators, placed, strict=True) if where.placement is not Placement.CPU]
    tensors = [graph.tensors[index] for op in mapped for index in op.inputs if index != NO_TENSOR]
    return sum({tensor.buffer: len(tensor.data) for tensor in tensors if tensor.data is not None}.values())


def _describe_compiled(compiled: CompiledModel) -> list[str]:
    build = f" (build {compiled.compiler_build})" if compiled.compiler_build else ""
    executables = ", ".join(f"{e.kind.value} {e.parameter_bytes} bytes" for e in compiled.executables) or "none"
    return [
        f"compiled for the Edge TPU{build}: {compiled.edgetpu_ops} edgetpu-custom-op(s) run there, "
        f"{len(compiled.ops_outside)} op(s) on the CPU",
        f"needs runtime {compiled.min_runtime_version} or later",
        f"parameters: {compiled.cached_parameter_bytes} bytes cached on the chip, "
        f"{compiled.streamed_parameter_bytes} bytes streamed with each inference",
        f"executables: {executables}",
    ]
