"""The documented limits of the Edge TPU's operators, one function each.

A limit returns why an operator cannot map, or None. What may or may not map is in op_doubts, sizes are in op_sizes.

"Coral's table" is the list of supported operations at coral.ai/docs/edgetpu/models-intro (compiler 16.0, runtime 14),
"Coral's requirements" the model requirements on the same page. The page itself was not available: both come from
copies (Axis's ARTPEC-7 documentation, one of 2019), and what neither copy contains is marked unconfirmed.
"Rows" are the observed operators of 106 published models, "pairs" nine of Google's models with their compiled forms,
"logs" what compilers 1 to 16 printed (../shared/edgetpu). Rows and pairs show what happened to each operator.
"""

from __future__ import annotations

from collections.abc import Callable

from reefline.tflite.graph import Graph, Operator, Tensor

Rule = Callable[[Operator, Graph], str | None]

# The 40 operators of Coral's table and TILE (see `limit_tile`), with the positions of their data operands; None means
# all. The others are parameters: weights, biases, axes, shapes, paddings. The order is that of TFLite's kernels.
DATA_OPERANDS: dict[str, tuple[int, ...] | None] = {
    **dict.fromkeys(("ADD", "CONCATENATION", "MAXIMUM", "MINIMUM", "MUL", "PACK", "SQUARED_DIFFERENCE", "SUB")),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_NORMALIZATION", "LOGISTIC", "QUANTIZE", "RSQRT"), (0,)),
    **dict.fromkeys(("RELU", "RELU6", "RELU_N1_TO_1", "SOFTMAX", "SPACE_TO_DEPTH", "SQUEEZE", "TANH"), (0,)),
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "PRELU"), (0,)),
    **dict.fromkeys(("EXPAND_DIMS", "MEAN", "PAD", "REDUCE_MAX", "REDUCE_MIN", "RESHAPE", "SLICE"), (0,)),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "STRIDED_SLICE", "SUM"), (0,)),
    **dict.fromkeys(("TILE", "TRANSPOSE"), (0,)),
    "SPLIT": (1,),
    "TRANSPOSE_CONV": (2,),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (0,),
}
# The positions of weights and bias among the operands.
_WEIGHTS_AND_BIAS = {
    "CONV_2D": (1, 2),
    "DEPTHWISE_CONV_2D": (1, 2),
    "FULLY_CONNECTED": (1, 2),
    "TRANSPOSE_CONV": (1, 3),
}
_REDUCTIONS = ("MEAN", "REDUCE_MAX", "REDUCE_MIN", "SUM")
_INNERMOST = 3
_SOFTMAX_MAX_ELEMENTS = 16_384
# The largest SOFTMAX over rows in a log (01, YOLOv8n 192: 756x4 rows of 16, inferred from its architecture).
_SOFTMAX_MAX_ROWS_BYTES = 48_384
_Z_MULTIPLE = 4
_MAX_PACK_RANK = 4
_LEFT_ADD_VERSION = 4
_KEEP_NUM_DIMS_VERSION = 5
_REJECTED_DENSE_VERSION = 9
ON_CHIP_BYTES = 8 * 2**20


def list_data(op: Operator, graph: Graph) -> tuple[Tensor, ...]:
    """Return the operands that are data, not parameters, of an operator in `DATA_OPERANDS`."""
    positions = DATA_OPERANDS[op.name]
    if positions is None:
        return graph.get_inputs(op)
    found = (graph.get_input(op, position) for position in positions)
    return tuple(tensor for tensor in found if tensor is not None)


def is_one_dimensional(tensor: Tensor) -> bool:
    """Return whether only the innermost dimension may exceed 1."""
    return all(size == 1 for size in tensor.shape[:-1])


def read_axes(op: Operator, graph: Graph, operand: int) -> tuple[int, ...]:
    """Return the axes in a constant operand, counted from the front."""
    axes = graph.get_input(op, operand)
    rank = len(list_data(op, graph)[0].shape)
    return tuple(axis % max(rank, 1) for axis in (axes.read_ints() if axes is not None else None) or ())


def limit_supported(op: Operator, graph: Graph) -> str | None:
    """Only 40 operators and TILE can map. Source: Coral's table; pairs."""
    return None if op.name in DATA_OPERANDS else "the Edge TPU does not support this operator"


def limit_operands_present(op: Operator, graph: Graph) -> str | None:
    """TFLite runs no operator without data or output. Source: TFLite's kernels (CheckNumberOfInputs)."""
    return None if list_data(op, graph) and op.outputs else "inputs or outputs are missing"


def limit_data_types(op: Operator, graph: Graph) -> str | None:
    """Data is int8 or uint8 and quantized. Source: Coral's requirements; logs (a QUANTIZE of float stays)."""
    for tensor in (*list_data(op, graph), *graph.get_outputs(op)):
        if not tensor.is_eight_bit:
            return f"unsupported data type: {tensor.name!r} is {tensor.type.lower()}, expected int8 or uint8"
        if not tensor.scales:
            return f"not quantized: {tensor.name!r} has no scale"
    return None


def limit_weight_types(op: Operator, graph: Graph) -> str | None:
    """Weights are 8-bit and biases int32. Source: Coral's requirements; TFLite's 8-bit quantization specification."""
    if op.name not in _WEIGHTS_AND_BIAS:
        return None
    weights, bias = (graph.get_input(op, position) for position in _WEIGHTS_AND_BIAS[op.name])
    if weights is None or not weights.is_eight_bit or not weights.scales:
        return "weights are not quantized to 8 bits"
    if bias is not None and bias.type != "INT32":
        return f"the bias is {bias.type.lower()}, expected int32"
    return None


def limit_constant_parameters(op: Operator, graph: Graph) -> str | None:
    """Parameters are constant at compile time. Source: Coral's requirements. The states of an LSTM are variables."""
    data = [id(tensor) for tensor in list_data(op, graph)]
    for tensor in graph.get_inputs(op):
        is_fixed = tensor.is_constant or tensor.is_variable or not tensor.size_bytes
        if id(tensor) not in data and not is_fixed:
            return f"parameter {tensor.name!r} is computed at run time, expected a constant"
    return None


def limit_rank(op: Operator, graph: Graph) -> str | None:
    """Beyond 3 dimensions only the 3 innermost may be larger than 1. Source: Coral's requirements."""
    for tensor in (*list_data(op, graph), *graph.get_outputs(op)):
        if any(size > 1 for size in tensor.shape[:-_INNERMOST]):
            shape = list(tensor.shape)
            return f"unsupported rank: {tensor.name!r} is {shape}; only the 3 innermost dimensions may exceed 1"
    return None


def limit_static_shape(op: Operator, graph: Graph) -> str | None:
    """Tensor sizes are constant at compile time. Source: Coral's requirements."""
    for tensor in (*list_data(op, graph), *graph.get_outputs(op)):
        if any(size < 1 for size in tensor.shape):
            return f"{tensor.name!r} has no fixed size: {list(tensor.shape)}"
    return None


def limit_fused_activation(op: Operator, graph: Graph) -> str | None:
    """AVERAGE_POOL_2D, MAX_POOL_2D and CONCATENATION have no fused activation. Source: Coral's table."""
    if op.name in ("AVERAGE_POOL_2D", "MAX_POOL_2D", "CONCATENATION") and op.options.fused_activation:
        return "a fused activation is not supported"
    return None


def limit_concatenated_constant(op: Operator, graph: Graph) -> str | None:
    """A constant may be concatenated only with one other input, and only if it is all zeros. Source: Coral's table."""
    if op.name != "CONCATENATION":
        return None
    inputs = graph.get_inputs(op)
    constants = [tensor for tensor in inputs if tensor.is_constant]
    if not constants:
        return None
    if len(inputs) != 2:
        return f"a constant among {len(inputs)} inputs; with a constant, only 2 inputs are supported"
    return None if all(_is_zero(tensor) for tensor in constants) else "concatenates a constant that is not all zeros"


def limit_dilation(op: Operator, graph: Graph) -> str | None:
    """Convolutions have equal dilation in x and y. Source: Coral's table.

    Dilation along a direction in which the kernel is 1 wide has no effect: 16.0 mapped such a convolution (3 by 1).
    """
    weights = graph.get_input(op, 1) if op.name in ("CONV_2D", "DEPTHWISE_CONV_2D") else None
    if weights is None or 1 in weights.shape[1:3] or op.options.dilation_w == op.options.dilation_h:
        return None
    return f"dilation is {op.options.dilation_w} in x and {op.options.dilation_h} in y; they must be equal"


def limit_add_version(op: Operator, graph: Graph) -> str | None:
    """ADD of version 4 is left. Source: rows (one model, at 36,864 bytes); versions 1 and 2 map."""
    if op.name == "ADD" and op.version >= _LEFT_ADD_VERSION:
        return f"operator version {op.version} stays on the CPU, 2 maps; convert with TF 2.16"
    return None


def limit_fully_connected(op: Operator, graph: Graph) -> str | None:
    """FULLY_CONNECTED has weights in the default format and a 1-dimensional output. Source: Coral's table."""
    if op.name != "FULLY_CONNECTED":
        return None
    if op.options.weights_format:
        return "the weights are in a shuffled format"
    if not is_one_dimensional(graph.get_outputs(op)[0]):
        return f"the output {list(graph.get_outputs(op)[0].shape)} has more than one dimension; flatten before Dense"
    return None


def limit_fully_connected_version(op: Operator, graph: Graph) -> str | None:
    """FULLY_CONNECTED of version 5 (keep_num_dims) or 9 is "not supported".

    Source: reports of compiler 14.1, and of version 5 without a compiler version. That 16.0 behaves like 14.1 is an
    assumption: no log of 16.0 contains either. For versions 6 to 8 see `op_doubts`. Weights with one scale per channel
    map: three models of compiler 16 have them.
    """
    if op.name == "FULLY_CONNECTED" and (op.version == _KEEP_NUM_DIMS_VERSION or op.version >= _REJECTED_DENSE_VERSION):
        return f"operator version {op.version} is not supported; reshape to [1, N] before Dense to get version 4"
    return None


def limit_softmax(op: Operator, graph: Graph) -> str | None:
    """SOFTMAX has one dimension of up to 16,000 elements. Source: Coral's table; 16.0 has mapped one of 16,384.

    Logs show one over rows mapped; up to its size `op_doubts` doubts the table.
    """
    if op.name != "SOFTMAX":
        return None
    tensor = list_data(op, graph)[0]
    if not is_one_dimensional(tensor) and tensor.size_bytes > _SOFTMAX_MAX_ROWS_BYTES:
        return f"the input {list(tensor.shape)} has more than one dimension"
    if tensor.size_bytes > _SOFTMAX_MAX_ELEMENTS and is_one_dimensional(tensor):
        return f"{tensor.size_bytes} elements; the maximum is {_SOFTMAX_MAX_ELEMENTS}"
    return None


def limit_batch_dimension(op: Operator, graph: Graph) -> str | None:
    """MEAN, SUM, REDUCE_*, PAD, PACK and SPLIT do not change the batch dimension.

    Source: Coral's table; unconfirmed for SUM and SPLIT.
    """
    if op.name in _REDUCTIONS and 0 in read_axes(op, graph, operand=1):
        return "reduces the batch dimension"
    # A SPLIT into one part divides nothing; converters leave them behind, and one in Google's YAMNet was mapped.
    if op.name == "SPLIT" and len(op.outputs) > 1 and 0 in read_axes(op, graph, operand=0):
        return "splits the batch dimension"
    if op.name == "PACK" and op.options.axis % len(graph.get_outputs(op)[0].shape or (1,)) == 0:
        return "packs along the batch dimension"
    paddings = graph.get_input(op, 1) if op.name == "PAD" else None
    if paddings is not None and any((paddings.read_ints() or ())[:2]):
        return "pads the batch dimension"
    return None


def limit_mean_depth(op: Operator, graph: Graph) -> str | None:
    """A MEAN over z needs a depth that is a multiple of 4. Source: Coral's table."""
    if op.name != "MEAN":
        return None
    shape = list_data(op, graph)[0].shape
    if len(shape) - 1 in read_axes(op, graph, operand=1) and shape[-1] % _Z_MULTIPLE:
        return f"reduces a depth of {shape[-1]}, not a multiple of {_Z_MULTIPLE}"
    return None


def limit_prelu(op: Operator, graph: Graph) -> str | None:
    """PRELU's alpha has one dimension (in Keras: shared_axes=[1, 2]). Source: Coral's table."""
    alpha = graph.get_input(op, 1) if op.name == "PRELU" else None
    if alpha is not None and not is_one_dimensional(alpha):
        return f"alpha {list(alpha.shape)} has more than one dimension; use shared_axes=[1, 2]"
    return None


def limit_strided_slice(op: Operator, graph: Graph) -> str | None:
    """STRIDED_SLICE has strides of 1 and neither ellipsis nor new axis. Source: Coral's table.

    For strides of 2 see `op_doubts`.
    """
    if op.name != "STRIDED_SLICE":
        return None
    strides = graph.get_input(op, 3)
    if strides is None or any(stride not in (1, 2) for stride in strides.read_ints() or ()):
        return "only strides of 1 are supported"
    if op.options.ellipsis_mask or op.options.new_axis_mask:
        return "ellipsis and new axis are not supported"
    return None


def limit_tile(op: Operator, graph: Graph) -> str | None:
    """A TILE maps only if it widens one pixel to an image, like a resize. Source: pairs; it is not in Coral's table."""
    if op.name != "TILE":
        return None
    before, after = list_data(op, graph)[0].shape, graph.get_outputs(op)[0].shape
    if len(before) == 4 and before[1:3] == (1, 1) and (before[0], before[3]) == (after[0], after[-1]):
        return None
    return "the Edge TPU does not support this operator, except to widen a single pixel"


def limit_pack_rank(op: Operator, graph: Graph) -> str | None:
    """PACK makes at most 4 dimensions. Source: rows (one to 1x10x10x2x128 is left)."""
    if op.name == "PACK" and len(graph.get_outputs(op)[0].shape) > _MAX_PACK_RANK:
        return f"packs to {len(graph.get_outputs(op)[0].shape)} dimensions; at most {_MAX_PACK_RANK} map"
    return None


def limit_bilinear_from_pixel(op: Operator, graph: Graph) -> str | None:
    """RESIZE_BILINEAR of a single pixel is left. Source: rows (three models) and pairs (1x1 to 33x33)."""
    if op.name != "RESIZE_BILINEAR":
        return None
    before, after = list_data(op, graph)[0].shape[1:3], graph.get_outputs(op)[0].shape[1:3]
    if before == (1, 1) != after:
        return f"a bilinear resize from 1x1 to {list(after)} stays on the CPU"
    return None


# In this order: earlier limits guarantee the operands and shapes that later ones read.
LIMITS: tuple[Rule, ...] = (
    limit_supported,
    limit_operands_present,
    limit_data_types,
    limit_static_shape,
    limit_weight_types,
    limit_constant_parameters,
    limit_rank,
    limit_fused_activation,
    limit_concatenated_constant,
    limit_dilation,
    limit_add_version,
    limit_fully_connected_version,
    limit_fully_connected,
    limit_softmax,
    limit_batch_dimension,
    limit_mean_depth,
    limit_prelu,
    limit_strided_slice,
    limit_tile,
    limit_pack_rank,
    limit_bilinear_from_pixel,
)


def _is_zero(tensor: Tensor) -> bool:
    zero_point = tensor.zero_points[0] if tensor.zero_points else 0
    content = bytes(tensor.data or b"")
    return content.count(zero_point % 256) == len(content)
