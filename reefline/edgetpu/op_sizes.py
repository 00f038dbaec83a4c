"""How large the tensors of an operator may be: the sizes that compilers 14 to 16 mapped and the sizes they left.

Coral publishes no sizes. Its table only warns that certain reshapes and resizes "might not be mapped". Each row below
states what was observed, in bytes of the operator's largest data tensor: `maps` is the largest one that was mapped,
`stays` the smallest one that stayed on the CPU although everything it depends on was mapped. Between the two the
answer is unknown. Only PASS_THROUGH and RARE go beyond what was observed; they say why.

"Rows" are the observed operators of published models (../shared/edgetpu/observed_ops.json), "pairs" and "logs" as in
op_limits. "Inferred" marks a log whose model is known, so that its shapes follow from the architecture.
"""

from __future__ import annotations

from dataclasses import dataclass

from reefline.edgetpu.op_limits import list_data, read_axes
from reefline.tflite.graph import Graph, Operator


@dataclass(frozen=True)
class SizeLimit:
    """Up to `maps` bytes the operators of `kind` map, from `stays` bytes on they stay on the CPU (None: unknown).

    Without `is_observed`, that they map up to `maps` is assumed.
    """

    kind: str
    maps: int
    stays: int | None
    evidence: str
    is_observed: bool = True


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
    None,
    "mapped: rows to 57,600, log 07 (SSD 300: 19x19x273, inferred), reports of Coral's SSDLite MobileDet 320 "
    "(20x20x273); none was seen left",
)
NEAREST_DOUBLE = SizeLimit(
    "a RESIZE_NEAREST_NEIGHBOR to double size", 2_097_152, 4_194_304, "rows (64x64x128 and 128x128x64, doubled)"
)
NEAREST_ALMOST_DOUBLE = SizeLimit(
    "a RESIZE_NEAREST_NEIGHBOR from n to 2n-1", 1_600, None, "log 11 (EfficientDet-Lite0: 3x3 to 5x5x64, inferred)"
)
NEAREST_OTHER = SizeLimit("a RESIZE_NEAREST_NEIGHBOR to other than double size", 0, None, "none was seen")
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
CONCATENATED_CHANNELS = SizeLimit("a CONCATENATION of channels", 1_228_800, None, "rows (160x160x48, 80x80x192)")
MEAN = SizeLimit(
    "a MEAN over x and y", 100_352, None, "rows (7x7x1280); Coral publishes ResNet-50 at 224 px compiled (7x7x2048)"
)
STRIDED_SLICE = SizeLimit("a STRIDED_SLICE", 819_200, None, "rows (160x160x32)")
SOFTMAX = SizeLimit("a SOFTMAX", 48_384, None, "logs 01 and 02 (YOLOv8); op_limits and op_doubts judge its shape")
CONVOLUTION = SizeLimit(
    "a convolution or dense layer", round(12.65 * 2**20), None, "convolutions of 9.0 to 12.6 MiB in nine models"
)
PASS_THROUGH = SizeLimit(
    "an elementwise, pooling or padding operator",
    CONVOLUTION.maps,
    None,
    "mapped: rows (PAD 4,260,096, MAX_POOL_2D 4,194,304, LOGISTIC and MUL 1,638,400, QUANTIZE 1,632,000, ADD 409,600) "
    "and pairs (AVERAGE_POOL_2D 1,393,920); larger ones inferred: the convolutions of 9.0 to 12.6 MiB read what such "
    "operators made, all of that mapped, and none was left for its size in any model",
    is_observed=False,
)
# Under a third of 104,000 bytes, the smallest tensor with which any operator was left for its size.
RARE = SizeLimit("an operator rarely or never seen", 32_768, None, "Coral's table only", is_observed=False)
PACK = SizeLimit("a PACK", 0, None, "only seen left: rows (to 5 dimensions), pairs")

_SIZE_LIMITS = {
    "PACK": PACK,
    "SOFTMAX": SOFTMAX,
    "STRIDED_SLICE": STRIDED_SLICE,
    "TILE": TILE,
    "TRANSPOSE": TRANSPOSE,
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"), CONVOLUTION),
    **dict.fromkeys(("ADD", "LOGISTIC", "MUL", "PRELU", "QUANTIZE", "RELU", "SUB"), PASS_THROUGH),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "PAD"), PASS_THROUGH),
}


def find_size_limit(op: Operator, graph: Graph) -> SizeLimit:
    """Return the row that judges a supported operator."""
    if op.name in ("EXPAND_DIMS", "RESHAPE", "SQUEEZE"):
        return _find_reshape(op, graph)
    if op.name == "RESIZE_BILINEAR":
        return _find_bilinear(op, graph)
    if op.name == "RESIZE_NEAREST_NEIGHBOR":
        return _find_nearest(op, graph)
    if op.name == "CONCATENATION":
        return CONCATENATED_CHANNELS if _joins_channels(op, graph) else CONCATENATED_LISTS
    if op.name == "MEAN":
        return RARE if len(list_data(op, graph)[0].shape) - 1 in read_axes(op, graph, operand=1) else MEAN
    return _SIZE_LIMITS.get(op.name, RARE)


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
    known = ["was never seen mapped"]
    if row.maps:
        known = [f"is {'known' if row.is_observed else 'assumed'} to map up to {row.maps:,} bytes"]
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


def _find_bilinear(op: Operator, graph: Graph) -> SizeLimit:
    before, after = list_data(op, graph)[0].shape[1:3], graph.get_outputs(op)[0].shape[1:3]
    return BILINEAR_DOUBLE if after in (before, tuple(2 * size for size in before)) else BILINEAR_OTHER


def _find_nearest(op: Operator, graph: Graph) -> SizeLimit:
    before, after = list_data(op, graph)[0].shape[1:3], graph.get_outputs(op)[0].shape[1:3]
    if after == tuple(2 * size for size in before):
        return NEAREST_DOUBLE
    # A feature pyramid halves 5 to 3 and doubles 3 to 5.
    return NEAREST_ALMOST_DOUBLE if after == tuple(2 * size - 1 for size in before) else NEAREST_OTHER


def _joins_channels(op: Operator, graph: Graph) -> bool:
    """Return whether it joins the channels of images; else it joins lists, as [1, 1200, 91] and [1, 300, 91]."""
    shape = graph.get_outputs(op)[0].shape
    return len(shape) == 4 and 1 not in shape[1:3] and op.options.axis % 4 == 3


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
