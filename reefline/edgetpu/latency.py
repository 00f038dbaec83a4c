"""How long one inference takes with a USB accelerator, estimated from the graph.

Four numbers, fitted by benchmarks/edge_tpu_latency.py to the latencies that Coral publishes for 25 models. Coral
publishes none for PCIe cards in a PC, and the same fit misses those of the Dev Board by a median of over 30 %: only USB
is estimated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from reefline.edgetpu.parameter_cache import ParameterCache
from reefline.edgetpu.parameter_layout import pad_outputs, round_up
from reefline.edgetpu.placement_report import PlacedOp, Placement
from reefline.system.record import Record
from reefline.tflite.graph import Graph, Operator, Tensor

OVERHEAD_MS = 0.93
MS_PER_BILLION_MULTIPLICATIONS = 3.58
MS_PER_STREAMED_MB = 0.91
MS_PER_MILLION_CPU_ELEMENTS = 2.51
# Leave-one-out: the median error without the model itself, and what 8 of 10 stay within without its family.
MEDIAN_ERROR = 0.18
BAND_ERROR = 0.47
PUBLISHED_MODELS = 25
_LANES = 4
# Operators whose arithmetic dominates; the CPU's share of an estimate counts only values read and written.
_HEAVY = (
    "BATCH_MATMUL",
    "CONV_2D",
    "CONV_3D",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "TRANSPOSE_CONV",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
)


@dataclass(frozen=True)
class Work:
    """What an inference costs: multiplications with padding, bytes sent, values that the CPU reads and writes."""

    multiplications: float
    streamed_bytes: int
    cpu_elements: float


@dataclass(frozen=True)
class LatencyEstimate(Record):
    """Milliseconds of one inference over USB 3, between `low_ms` and `high_ms` for 8 of 10 published models."""

    usb_ms: float
    low_ms: float
    high_ms: float
    compute_ms: float
    streaming_ms: float
    cpu_ms: float
    median_error: float = MEDIAN_ERROR

    def describe(self) -> str:
        """Return one line; the estimate never stands without its band."""
        return (
            f"about {self.usb_ms:.1f} ms with a USB accelerator, {self.low_ms:.1f} to {self.high_ms:.1f} ms "
            f"(estimate: compute {self.compute_ms:.1f}, streaming {self.streaming_ms:.1f}, CPU {self.cpu_ms:.1f} ms; "
            f"median error {self.median_error:.0%} over {PUBLISHED_MODELS} published models)"
        )


def estimate_latency(graph: Graph, placed: Sequence[PlacedOp], cache: ParameterCache) -> LatencyEstimate | None:
    """Return the latency of a model whose operators run where `placed` says; None if `explain_no_estimate` objects."""
    return None if explain_no_estimate(placed, cache) else estimate(measure_work(graph, placed, cache))


def explain_no_estimate(placed: Sequence[PlacedOp], cache: ParameterCache) -> str | None:
    """Return why an estimate would be far off, or None."""
    off_tpu = [op for op in placed if op.op in _HEAVY and op.placement is not Placement.EDGETPU]
    if off_tpu:
        first = min(off_tpu, key=lambda op: op.placement is not Placement.CPU)
        runs = "runs" if first.placement is Placement.CPU else "may run"
        return f"op {first.index} ({first.op}) {runs} on the CPU, where its time is unknown"
    if cache.not_counted:
        return f"the Edge TPU's time for {', '.join(cache.not_counted)} is unknown"
    return None


def estimate(work: Work) -> LatencyEstimate:
    """Return the latency of an amount of work."""
    compute_ms = work.multiplications / 1e9 * MS_PER_BILLION_MULTIPLICATIONS
    streaming_ms = work.streamed_bytes / 1e6 * MS_PER_STREAMED_MB
    cpu_ms = work.cpu_elements / 1e6 * MS_PER_MILLION_CPU_ELEMENTS
    total_ms = OVERHEAD_MS + compute_ms + streaming_ms + cpu_ms
    return LatencyEstimate(
        usb_ms=total_ms,
        low_ms=total_ms / (1 + BAND_ERROR),
        high_ms=total_ms / (1 - BAND_ERROR),
        compute_ms=compute_ms,
        streaming_ms=streaming_ms,
        cpu_ms=cpu_ms,
    )


def measure_work(graph: Graph, placed: Sequence[PlacedOp], cache: ParameterCache) -> Work:
    """Return the work of a model; operators that might map count as mapped."""
    multiplications, cpu_elements = 0, 0
    for op, where in zip(graph.operators, placed, strict=True):
        if where.placement is Placement.CPU:
            computed = [tensor for tensor in graph.get_inputs(op) if not tensor.is_constant]
            cpu_elements += sum(math.prod(tensor.shape) for tensor in (*computed, *graph.get_outputs(op)))
        else:
            multiplications += _count_multiplications(op, graph)
    return Work(multiplications, cache.streamed_bytes, cpu_elements)


def count_dense(pixels: float, kernel: int, inputs: int, outputs: int) -> float:
    """Return the multiplications of a convolution, or of a dense layer with 1 pixel."""
    return pixels * kernel * round_up(inputs, _LANES) * pad_outputs(outputs)


def count_depthwise(pixels: float, kernel: int, channels: int) -> float:
    """Return the multiplications of a depthwise convolution, which uses one lane of four."""
    return pixels * kernel * round_up(channels, _LANES) * _LANES


def _count_multiplications(op: Operator, graph: Graph) -> int:
    weights = graph.get_input(op, 1)
    if op.name not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED") or weights is None:
        return 0
    pixels, kernel = _count_pixels(graph.get_outputs(op)[0]), math.prod(weights.shape[1:-1])
    if op.name == "DEPTHWISE_CONV_2D":
        return int(count_depthwise(pixels, kernel, weights.shape[-1]))
    return int(count_dense(pixels, kernel, weights.shape[-1], weights.shape[0]))


def _count_pixels(output: Tensor) -> int:
    return math.prod(output.shape[1:-1]) if len(output.shape) == 4 else 1
