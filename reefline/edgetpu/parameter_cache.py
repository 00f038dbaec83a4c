"""Which parameters stay in the Edge TPU's memory, which are sent with each inference, and how to split a model."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from reefline.edgetpu.parameter_layout import UNKNOWN_LAYOUTS, count_sent_bytes, count_stored_bytes
from reefline.edgetpu.placement_report import PlacedOp, Placement
from reefline.system.record import Record
from reefline.tflite.graph import Graph, Operator

_MIB = 2**20
# What the compiler leaves of 8 MiB differs by model, for reasons that it does not print. In the published figures that
# tests/unit/edgetpu/test_parameter_cache.py quotes, 5.66 MiB were always cached, 6.42 MiB once were not, and 7.80 MiB
# never were; a cache of 7.0 MiB gives the compiler's split.
ALWAYS_FITS_BYTES = int(5.6 * _MIB)
NEVER_FITS_BYTES = int(7.8 * _MIB)
_USUAL_CACHE_BYTES = 7 * _MIB
_MAX_SEGMENTS = 16
_WIDTH_STEPS = tuple(step / 20 for step in range(19, 4, -1))


class CacheFit(str, enum.Enum):
    """Whether all parameters stay on the chip."""

    FITS = "fits"
    UNCERTAIN = "uncertain"
    STREAMS = "streams"


@dataclass(frozen=True)
class StoredParameters(Record):
    """The parameters of one operator: it is cached or streamed as a unit."""

    index: int
    op: str
    bytes: int


@dataclass(frozen=True)
class Segment(Record):
    """A part of a model for one Edge TPU: operators `first_op` to `last_op`, the CPU's included."""

    first_op: int
    last_op: int
    parameter_bytes: int


@dataclass(frozen=True)
class ParameterCache(Record):
    """Where the parameters of a model will be, predicted.

    `parameter_bytes` are on the chip's layout, `cached_bytes` of them stay there, `streamed_bytes` are sent with each
    inference, together with `constant_bytes` of constant data. `streamed` lists the operators in execution order.
    `not_counted` are operators whose layout is unknown. `fitting_width` is the largest share of all channels that fits,
    `segments` the smallest split whose parts all fit; None and empty if the model fits, or nothing would.
    """

    fit: CacheFit
    parameter_bytes: int
    cached_bytes: int
    streamed_bytes: int
    constant_bytes: int
    streamed: tuple[StoredParameters, ...]
    not_counted: tuple[str, ...]
    fitting_width: float | None
    segments: tuple[Segment, ...]

    def describe(self, *, is_partial: bool = False) -> Iterator[str]:
        """Yield lines on what is cached, and what would make everything fit.

        With `is_partial`, some operators may not map.
        """
        size = f"{self.parameter_bytes / _MIB:.2f} MiB"
        if self.fit is CacheFit.FITS:
            yield f"parameters: {size} on the chip, all cached (prediction)"
        else:
            what = "may not fit" if self.fit is CacheFit.UNCERTAIN else "do not fit"
            yield (
                f"parameters: {size} on the chip, which {what}: about {self.cached_bytes / _MIB:.2f} MiB cached, "
                f"{self.streamed_bytes / _MIB:.2f} MiB sent with each inference (prediction)"
            )
            yield from self._advise(is_partial)
        if self.not_counted:
            yield f"parameters of unknown layout, not counted: {', '.join(self.not_counted)}"

    def _advise(self, is_partial: bool) -> Iterator[str]:
        if self.streamed:
            largest = max(self.streamed, key=lambda stored: stored.bytes)
            yield (
                f"streamed: {len(self.streamed)} ops, first op {self.streamed[0].index} ({self.streamed[0].op}), "
                f"largest op {largest.index} ({largest.op}) with {largest.bytes / _MIB:.2f} MiB"
            )
        if self.fitting_width is not None:
            # A dense layer after a flattened image has fewer parameters with a smaller one.
            has_dense = any(stored.op == "FULLY_CONNECTED" for stored in self.streamed)
            rest = "" if has_dense else "; a smaller input leaves the parameters as they are"
            yield f"to fit: about {self.fitting_width:g} times the channels in every layer{rest}"
        if self.segments:
            parts = ", ".join(
                f"ops {part.first_op}-{part.last_op} {part.parameter_bytes / _MIB:.2f} MiB" for part in self.segments
            )
            yield f"or {len(self.segments)} Edge TPUs (reefline compile --segments {len(self.segments)}): {parts}"
            if is_partial:
                # edgetpu#411: compiler 15 printed nothing but its version.
                yield "the compiler may refuse to split this model, as not all of its operators map (edgetpu#411)"


def predict_cache(graph: Graph, placed: Sequence[PlacedOp]) -> ParameterCache:
    """Return where the parameters of the operators that map, or might, will be."""
    mapped = [op for op, where in zip(graph.operators, placed, strict=True) if where.placement is not Placement.CPU]
    stored = [StoredParameters(op.index, op.name, count_stored_bytes(op, graph)) for op in mapped]
    total = sum(parameters.bytes for parameters in stored)
    fit = judge_fit(total)
    streamed = () if fit is CacheFit.FITS else tuple(_find_streamed(stored))
    streamed_bytes = sum(parameters.bytes for parameters in streamed)
    return ParameterCache(
        fit=fit,
        parameter_bytes=total,
        cached_bytes=total - streamed_bytes,
        streamed_bytes=streamed_bytes,
        constant_bytes=sum(count_sent_bytes(op, graph) for op in mapped),
        streamed=streamed,
        not_counted=tuple(op.label for op in mapped if op.name in UNKNOWN_LAYOUTS),
        fitting_width=None if fit is CacheFit.FITS else _find_fitting_width(graph, mapped),
        segments=() if fit is CacheFit.FITS else find_fitting_segments(stored, len(graph.operators)),
    )


def judge_fit(parameter_bytes: int) -> CacheFit:
    """Return whether parameters of this size stay on the chip."""
    if parameter_bytes <= ALWAYS_FITS_BYTES:
        return CacheFit.FITS
    return CacheFit.UNCERTAIN if parameter_bytes < NEVER_FITS_BYTES else CacheFit.STREAMS


def find_fitting_segments(stored: Sequence[StoredParameters], op_count: int) -> tuple[Segment, ...]:
    """Return the smallest number of segments that all fit, as the compiler splits; none up to 16 gives ()."""
    for count in range(2, _MAX_SEGMENTS + 1):
        segments = split(stored, count, op_count)
        if all(judge_fit(segment.parameter_bytes) is CacheFit.FITS for segment in segments):
            return segments
    return ()


def split(stored: Sequence[StoredParameters], count: int, op_count: int) -> tuple[Segment, ...]:
    """Split a model of `op_count` operators in execution order into at most `count` parts of about equal parameters.

    A part ends before the operator with which the sum would exceed its share: so compiler 16.0 splits chains of
    convolutions.
    """
    total = sum(parameters.bytes for parameters in stored)
    starts, sizes, before = [0], [0], 0
    for parameters in stored:
        is_over = (before + parameters.bytes) * count > total * len(starts)
        if is_over and sizes[-1] > 0 and len(starts) < count:
            starts.append(parameters.index)
            sizes.append(0)
        sizes[-1] += parameters.bytes
        before += parameters.bytes
    ends = [*(start - 1 for start in starts[1:]), op_count - 1]
    return tuple(Segment(*part) for part in zip(starts, ends, sizes, strict=True))


def _find_streamed(stored: Iterable[StoredParameters]) -> Iterator[StoredParameters]:
    """Yield what does not fit: the compiler caches in execution order, skipping operators that no longer fit."""
    left = _USUAL_CACHE_BYTES
    for parameters in stored:
        if parameters.bytes <= left:
            left -= parameters.bytes
        else:
            yield parameters


def _find_fitting_width(graph: Graph, mapped: Sequence[Operator]) -> float | None:
    """Return the largest share of all channels, in steps of 0.05, with which everything fits."""
    return next(
        (
            width
            for width in _WIDTH_STEPS
            if sum(count_stored_bytes(op, graph, width) for op in mapped) <= ALWAYS_FITS_BYTES
        ),
        None,
    )
