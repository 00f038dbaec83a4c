"""How many bytes an operator's parameters occupy once edgetpu_compiler has laid them out.

Coral does not document the layout. These rules were derived from the parameters inside nine published pairs of a
model and its compiled form, and reproduce seven of them to the byte. Another author's figures confirm them.
"""

from __future__ import annotations

import math

from reefline.tflite.graph import Graph, Operator, Tensor

# Operators whose parameters are laid out in ways that no known model shows.
UNKNOWN_LAYOUTS = ("TRANSPOSE_CONV", "UNIDIRECTIONAL_SEQUENCE_LSTM", "PRELU")
# Operators that read a constant as data: it is sent with each inference.
_ELEMENT_WISE = ("ADD", "MAXIMUM", "MINIMUM", "MUL", "SQUARED_DIFFERENCE", "SUB")
_BLOCK_BYTES = 64
# The chip reads channels in fours and computes 64 output channels at a time, four on each of 16 tiles.
_CHANNELS_READ_TOGETHER = 4
_CHANNELS_COMPUTED_TOGETHER = 64
_TILES = 16
_BIAS_BYTES = 4
_PER_CHANNEL_SCALE_BYTES = 8


def count_stored_bytes(op: Operator, graph: Graph, width: float = 1.0) -> int:
    """Return the bytes of an operator's parameters on the chip; 0 for one without, or with an unknown layout.

    `width` scales the channels of convolutions, as a depth multiplier does.
    """
    if op.name in ("CONV_2D", "FULLY_CONNECTED"):
        return _count_dense(op, graph, width)
    if op.name == "DEPTHWISE_CONV_2D":
        return _count_depthwise(op, graph, width)
    if op.name == "SOFTMAX":
        return _count_softmax(op, graph)
    return 0


def count_sent_bytes(op: Operator, graph: Graph) -> int:
    """Return the bytes of an operator's constant data, which is never cached."""
    if op.name not in _ELEMENT_WISE:
        return 0
    constants = (len(tensor.data) for tensor in graph.get_inputs(op) if tensor.data is not None and tensor.shape)
    return sum(round_up(size, _BLOCK_BYTES) for size in constants if size > 1)


def _count_dense(op: Operator, graph: Graph, width: float) -> int:
    weights = graph.get_input(op, 1)
    if weights is None or not weights.is_constant:
        return 0
    outputs, kernel, inputs = weights.shape[0], math.prod(weights.shape[1:-1]), weights.shape[-1]
    row_bytes = _count_header(op, graph, weights) + kernel * round_up(_scale(inputs, width), _CHANNELS_READ_TOGETHER)
    return round_up(pad_outputs(_scale(outputs, width)) * row_bytes, _BLOCK_BYTES)


def _count_depthwise(op: Operator, graph: Graph, width: float) -> int:
    """Each weight takes the place of four: a channel reads only itself."""
    weights = graph.get_input(op, 1)
    if weights is None or not weights.is_constant:
        return 0
    channels, kernel = (
        round_up(_scale(weights.shape[-1], width), _CHANNELS_READ_TOGETHER),
        math.prod(weights.shape[:-1]),
    )
    row_bytes = _count_header(op, graph, weights) + kernel * _CHANNELS_READ_TOGETHER
    return round_up(channels * row_bytes, _BLOCK_BYTES)


def _count_softmax(op: Operator, graph: Graph) -> int:
    """The sum of the exponentials is a convolution. Derived from one model with 1,001 classes."""
    source = graph.get_input(op, 0)
    if source is None or not source.shape:
        return 0
    return _TILES * (3 * round_up(source.shape[-1], _CHANNELS_READ_TOGETHER) + _BIAS_BYTES)


def _count_header(op: Operator, graph: Graph, weights: Tensor) -> int:
    """Return the bytes before the weights of an output channel: its bias unless all are 0, its scale if it has one."""
    bias = graph.get_input(op, 2)
    has_bias = bias is not None and bias.data is not None and any(bias.data)
    return (_BIAS_BYTES if has_bias else 0) + (_PER_CHANNEL_SCALE_BYTES if len(weights.scales) > 1 else 0)


def pad_outputs(channels: int) -> int:
    """Return how many output channels are stored and computed for a dense operator with this many."""
    if channels <= _CHANNELS_READ_TOGETHER:
        return _CHANNELS_READ_TOGETHER
    step = _TILES if channels <= _CHANNELS_COMPUTED_TOGETHER else _CHANNELS_COMPUTED_TOGETHER
    return round_up(channels, step)


def _scale(channels: int, width: float) -> int:
    """Scale channels, but not an image's."""
    return channels if channels <= _CHANNELS_READ_TOGETHER else max(1, round(channels * width))


def round_up(number: int, step: int) -> int:
    """Return the smallest multiple of `step` that is not less than a number."""
    return -(-number // step) * step
