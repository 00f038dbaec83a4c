"""How large the tensors of an operator may be: the sizes that compilers 14 to 16 mapped and the sizes they left.

Coral publishes no sizes. Its table only warns that certain reshapes and resizes "might not be mapped". Each row below
states what was observed, in bytes of the operator's largest data tensor: `maps` is the largest one that was mapped,
`stays` the smallest one that stayed on the CPU although everything it depends on was mapped. Between the two the
answer is unknown.

"Rows" are the observed operators of published models (../shared/edgetpu/observed_ops.json), "pairs" and "logs" as in
op_limits. "Inferred" marks a log whose model is known, so that its shapes follow from the architecture.
"""

from __future__ import annotations

from dataclasses import dataclass

from reefline.edgetpu.op_limits import list_data
from reefline.tflite.graph import Graph, Operator


@dataclass(frozen=True)
class SizeLimit:
    """Up to `maps` bytes the operators of `kind` map, from `stays` bytes on they stay on the CPU (None: unknown)."""

    kind: str
    maps: int
    stays: int | None
    evidence: str


TRANSPOSE = SizeLimit(
    "a TRANSPOSE", 82_944, 104_000, "mapped: rows to 69,696, log 01 (YOLOv8n 192: 24x24x144, inferred); left: rows"
)
RESHAPE_KEEP = SizeLimit(
    "a RESHAPE that only adds or removes dimensions of 1", 408_000, None, "no harder than RESHAPE_REGROUP"
)
RESHAPE_MERGE = SizeLimit(
    "a RESHAPE that merges dimensions", 102_000, 288_000, "mapped: rows (400x3x85 to 1200x85); left: a judged model"
)
RESHAPE_REGROUP = SizeLimit(
    "a RESHAPE that merges and splits dimensions", 408_000, 1_632_000, "rows (40x40x255 and 80x80x255 to Nx3x85)"
)
RESHAPE_HEAD = SizeLimit(
    "a RESHAPE of a detector's head",
    109_200,
    1_632_000,
    "mapped: rows to 57,600, log 07 (SSD 300: 19x19x273, inferred), reports of Coral's SSDLite MobileDet 320 "
    "(20x20x273); left: as RESHAPE_REGROUP",
)
NEAREST_DOUBLE = SizeLimit(
    "a RESIZE_NEAREST_NEIGHBOR to double size", 2_097_152, 4_194_304, "rows (64x64x128 and 128x128x64, doubled)"
)
NEAREST_OTHER = SizeLimit(
    "a RESIZE_NEAREST_NEIGHBOR to other than double size", 0, 4_194_304, "none was seen; left: as NEAREST_DOUBLE"
)
BILINEAR_DOUBLE = SizeLimit(
    "a RESIZE_BILINEAR to the same or double size", 55_296, None, "pairs (24x24x24 doubled; 33x33x19 kept)"
)
BILINEAR_OTHER = SizeLimit(
    "a RESIZE_BILINEAR to other than double size", 0, 5_000_211, "none was mapped; left: pairs (33x33 to 513x513x19)"
)
CONCATENATED_LISTS = SizeLimit(
    "a CONCATENATION of lists",
    185_094,
    None,
    "mapped: rows to 76,500, log 07 (SSD 300: 1917x91, inferred), reports of Coral's SSDLite MobileDet 320 (2034x91)",
)
TILE = SizeLimit("a TILE of one pixel", 139_392, None, "pairs (1x1x128 to 33x33x128)")
ANY = SizeLimit(
    "such an operator",
    round(12.65 * 2**20),
    None,
    "convolutions of 9.0 to 12.6 MiB mapped in nine published models, so whatever made their tensors mapped too; "
    "no operator without a row of its own was left for its size",
)


def find_size_limit(op: Operator, graph: Graph) -> SizeLimit:
    """Return the row that judges a supported operator."""
    if op.name == "TRANSPOSE":
        return TRANSPOSE
    if op.name == "TILE":
        return TILE
    if op.name == "RESHAPE":
        return _find_reshape(op, graph)
    if op.name in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"):
        return _find_resize(op, graph)
    if op.name == "CONCATENATION" and _joins_lists(op, graph):
        return CONCATENATED_LISTS
    return ANY


def limit_size(op: Operator, graph: Graph) -> str | None:
    """An operator as large as one that stayed on the CPU stays too. Source: the rows above."""
    row, size = find_size_limit(op, graph), measure_largest(op, graph)
    if row.stays is None or size < row.stays:
        return None
    return f"its largest tensor has {size:,} bytes; {row.kind} is known to stay on the CPU from {row.stays:,} bytes on"


def doubt_size(op: Operator, graph: Graph) -> str | None:
    """An operator larger than any that was mapped may stay on the CPU. Source: the rows above."""
    row, size = find_size_limit(op, graph), measure_largest(op, graph)
    if size <= row.maps:
        return None
    known = [f"is known to map up to {row.maps:,} bytes" if row.maps else "was never seen mapped"]
    known += [f"to stay on the CPU from {row.stays:,} on"] if row.stays is not None else []
    return f"its largest tensor has {size:,} bytes; {row.kind} {' and '.join(known)}; only edgetpu_compiler can tell"


def measure_largest(op: Operator, graph: Graph) -> int:
    """Return the bytes of the largest data tensor, which the rows are about."""
    return max(tensor.size_bytes for tensor in (*list_data(op, graph), *graph.get_outputs(op)))


def _find_reshape(op: Operator, graph: Graph) -> SizeLimit:
    before, after = (_drop_ones(tensor.shape) for tensor in (list_data(op, graph)[0], graph.get_outputs(op)[0]))
    if before == after:
        return RESHAPE_KEEP
    if _merges(before, after):
        return RESHAPE_MERGE
    return RESHAPE_REGROUP if len(before) == len(after) else RESHAPE_HEAD


def _find_resize(op: Operator, graph: Graph) -> SizeLimit:
    before, after = list_data(op, graph)[0].shape[1:3], graph.get_outputs(op)[0].shape[1:3]
    if op.name == "RESIZE_BILINEAR":
        is_usual = after in (before, tuple(2 * size for size in before))
        return BILINEAR_DOUBLE if is_usual else BILINEAR_OTHER
    # A feature pyramid halves 5 to 3 and doubles 3 to 5: log 11 maps all 12 of EfficientDet-Lite0 (inferred).
    is_usual = all(new in (old, 2 * old, 2 * old - 1) for old, new in zip(before, after, strict=False))
    return NEAREST_DOUBLE if is_usual else NEAREST_OTHER


def _joins_lists(op: Operator, graph: Graph) -> bool:
    """Return whether it joins lists of anchors, as [1, 1200, 91] and [1, 300, 91] to [1, 1500, 91]."""
    shape = graph.get_outputs(op)[0].shape
    return len(shape) == 3 and op.options.axis % 3 == 1


def _drop_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _merges(before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    """Return whether each dimension of `after` is the product of neighbouring ones of `before`."""
    left = list(before)
    for size in after:
        product = 1
        while left and product < size:
            product *= left.pop(0)
        if product != size:
            return False
    return not left
