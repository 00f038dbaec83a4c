"""Operators that may or may not map: what documentation and observation leave open, one function each.

A doubt returns why an operator might not map, or None. "Coral's table", "rows", "pairs" and "logs" are as in op_limits.
Doubts about sizes are in op_sizes.
"""

from __future__ import annotations

from reefline.edgetpu.op_limits import Rule, is_one_dimensional, list_data
from reefline.edgetpu.op_sizes import doubt_size
from reefline.tflite.graph import Graph, Operator

_ONLY_THE_COMPILER = "only edgetpu_compiler can tell"
_MAX_RANK = 4
# The newest version of an operator that rows or pairs show mapped. What TF 2.16 writes for an 8-bit model is no newer.
_NEWEST_MAPPED = {
    "ADD": 2,
    "AVERAGE_POOL_2D": 2,
    "CONCATENATION": 2,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 4,
    "LOGISTIC": 2,
    "MAX_POOL_2D": 2,
    "MEAN": 2,
    "MUL": 2,
    "PAD": 2,
    "PRELU": 1,
    "QUANTIZE": 2,
    "RELU": 2,
    "RESHAPE": 1,
    "RESIZE_BILINEAR": 3,
    "RESIZE_NEAREST_NEIGHBOR": 3,
    "SOFTMAX": 2,
    "SPLIT": 2,
    "STRIDED_SLICE": 2,
    "SUB": 2,
    "TILE": 1,
    "TRANSPOSE": 2,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": 1,
}
# The versions that 8-bit data needs, of operators that were never seen mapped; later ones have no evidence at all.
# Source: tensorflow/lite/tools/versioning/op_version.cc; TRANSPOSE_CONV 3 has a bias. Not listed: 1.
_NEEDED_BY_8_BITS = {
    **dict.fromkeys(("L2_NORMALIZATION", "MAXIMUM", "MINIMUM", "PACK", "REDUCE_MAX", "REDUCE_MIN", "RELU6"), 2),
    **dict.fromkeys(("RSQRT", "SLICE", "SPACE_TO_DEPTH", "SQUARED_DIFFERENCE", "SUM", "TANH"), 2),
    "TRANSPOSE_CONV": 3,
}


def doubt_version(op: Operator, graph: Graph) -> str | None:
    """A version newer than any that was mapped may be left, as ADD 4 is. Source: rows and pairs."""
    if op.name in _NEWEST_MAPPED:
        newest, known = _NEWEST_MAPPED[op.name], "maps"
    else:
        newest, known = _NEEDED_BY_8_BITS.get(op.name, 1), "is enough for 8-bit data"
    if op.version > newest:
        return f"version {op.version} was never seen mapped, {newest} {known}; {_ONLY_THE_COMPILER}"
    return None


def doubt_rank(op: Operator, graph: Graph) -> str | None:
    """A tensor of 5 dimensions may not map. Source: none was seen mapped, and PACK to 5 dimensions is left (rows)."""
    for tensor in (*list_data(op, graph), *graph.get_outputs(op)):
        if len(tensor.shape) > _MAX_RANK:
            shape = list(tensor.shape)
            return f"{tensor.name!r} is {shape}: more than {_MAX_RANK} dimensions were never seen; {_ONLY_THE_COMPILER}"
    return None


def doubt_softmax_over_rows(op: Operator, graph: Graph) -> str | None:
    """A SOFTMAX over rows contradicts Coral's table, but logs 01 and 02 (YOLOv8) map one of up to 48,384 bytes."""
    if op.name != "SOFTMAX" or is_one_dimensional(list_data(op, graph)[0]):
        return None
    shape = list(list_data(op, graph)[0].shape)
    return f"the input {shape} has more than one dimension; YOLOv8 maps with such a SOFTMAX; {_ONLY_THE_COMPILER}"


def doubt_strides(op: Operator, graph: Graph) -> str | None:
    """A STRIDED_SLICE by 2 contradicts Coral's table, but log 09 (YOLOv5s) maps all 13 slices, of which 4 have strides
    of 2 (inferred from the architecture).
    """
    strides = graph.get_input(op, 3) if op.name == "STRIDED_SLICE" else None
    if strides is not None and 2 in (strides.read_ints() or ()):
        return f"strides of 2 are documented as unsupported; YOLOv5 maps with such a slice; {_ONLY_THE_COMPILER}"
    return None


DOUBTS: tuple[Rule, ...] = (doubt_version, doubt_rank, doubt_softmax_over_rows, doubt_strides, doubt_size)
