"""The convolutions of a quantized TFLite model: weights as real numbers, and how they are connected.

Batch normalization is folded into them: the kernel contains its scale, the bias its shift. A real value is
scale · (quantized value − zero point), per tensor or per channel (TFLite's 8-bit quantization specification).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reefline.errors import BundleError
from reefline.structures.convolution_graph import BOXES, SCORES, ConvolutionNode, connect, unite_sources
from reefline.tflite.graph import EDGE_TPU_OP, POSTPROCESS_OP, Graph, Operator, Tensor
from reefline.tflite.reader import DAMAGE_ERRORS, read_graph

if TYPE_CHECKING:
    import numpy as np

_CONV, _DEPTHWISE = "CONV_2D", "DEPTHWISE_CONV_2D"
_BIAS_OPERAND = 2


@dataclass(frozen=True, eq=False)
class FoldedConvolution:
    """One convolution with its batch normalization folded in.

    `kernel` is float32 in TensorFlow's layout, shaped as `node.kernel_shape` says; `bias` is float32 [out channels].
    """

    node: ConvolutionNode
    kernel: np.ndarray
    bias: np.ndarray


def read_convolutions(path: Path) -> tuple[FoldedConvolution, ...]:
    """Return the convolutions of a model in running order.

    Raises:
        BundleError: the file is missing, damaged, not TFLite, compiled for the Edge TPU, or not quantized to 8 bits.
    """
    graph = read_graph(path)
    _check_kind(graph, path)
    try:
        return _read(graph)
    except DAMAGE_ERRORS as error:
        raise BundleError(f"{path}: damaged, cannot read its weights ({error}); download or export it again") from error


def _check_kind(graph: Graph, path: Path) -> None:
    names = {operator.name for operator in graph.operators}
    if EDGE_TPU_OP in names:
        raise BundleError(
            f"{path}: compiled for the Edge TPU, which packs the weights into a binary that cannot be read back; "
            "name the .tflite file it was compiled from"
        )
    flex = sorted(name.removeprefix("CUSTOM:") for name in names if name.startswith("CUSTOM:Flex"))
    if flex:
        raise BundleError(
            f"{path}: contains TensorFlow operators ({', '.join(flex)}); export it with TFLite operators only"
        )
    kernels = [graph.get_input(operator, 1) for operator in graph.operators if operator.name in (_CONV, _DEPTHWISE)]
    if not kernels:
        raise BundleError(f"{path}: contains no convolution; name a TFLite detector or image classifier")
    for kernel in kernels:
        if kernel is None or not kernel.is_eight_bit or not kernel.is_constant:
            found = "computed weights" if kernel is None or not kernel.is_constant else f"{kernel.type} weights"
            raise BundleError(f"{path}: found {found}, expected 8-bit ones; name a fully quantized TFLite model")


def _read(graph: Graph) -> tuple[FoldedConvolution, ...]:
    reaching: dict[int, tuple[int, ...]] = {}
    nodes: list[ConvolutionNode] = []
    weights: list[tuple[np.ndarray, np.ndarray]] = []
    heads: dict[str, tuple[int, ...]] = {}
    for operator in graph.operators:
        sources = unite_sources(reaching.get(index, ()) for index in operator.inputs)
        if operator.name in (_CONV, _DEPTHWISE):
            kernel, bias = _read_weights(graph, operator)
            height, width, channels_in, channels_out = kernel.shape
            nodes.append(
                ConvolutionNode(
                    is_depthwise=operator.name == _DEPTHWISE,
                    kernel_shape=(height, width, channels_in, channels_out),
                    stride=operator.options.stride_h,
                    sources=sources,
                )
            )
            weights.append((kernel, bias))
            sources = (len(nodes) - 1,)
        elif operator.name == POSTPROCESS_OP:
            # detection_postprocess.cc: box encodings, class predictions, anchors.
            boxes, scores = operator.inputs[:2]
            heads = {BOXES: reaching.get(boxes, ()), SCORES: reaching.get(scores, ())}
        reaching.update(dict.fromkeys(operator.outputs, sources))
    return tuple(
        FoldedConvolution(node, kernel, bias)
        for node, (kernel, bias) in zip(connect(nodes, heads), weights, strict=True)
    )


def _read_weights(graph: Graph, operator: Operator) -> tuple[np.ndarray, np.ndarray]:
    """Return kernel and bias; OHWI becomes HWIO and a depthwise 1HWC becomes HWC1, which is one and the same move."""
    import numpy as np

    kernel_tensor, bias_tensor = graph.get_input(operator, 1), graph.get_input(operator, _BIAS_OPERAND)
    if kernel_tensor is None:
        raise ValueError(f"{operator.label} has no kernel")
    kernel = _dequantize(kernel_tensor).transpose(1, 2, 3, 0)
    channels = kernel.shape[2] if operator.name == _DEPTHWISE else kernel.shape[3]
    bias = np.zeros(channels, np.float32) if bias_tensor is None else _dequantize(bias_tensor)
    if bias.shape != (channels,):
        raise ValueError(f"{operator.label} has {channels} channels and a bias of shape {list(bias.shape)}")
    return kernel, bias


def _dequantize(tensor: Tensor) -> np.ndarray:
    import numpy as np

    if tensor.data is None or not tensor.scales:
        raise ValueError(f"tensor {tensor.name!r} has no quantized values")
    values = np.frombuffer(tensor.data, np.dtype(tensor.type.lower())).reshape(tensor.shape).astype(np.float64)
    along = [1] * len(tensor.shape)
    if len(tensor.scales) > 1:
        along[tensor.quantized_dimension] = len(tensor.scales)
    scales = np.asarray(tensor.scales).reshape(along)
    zero_points = np.asarray(tensor.zero_points or (0,)).reshape(
        along if len(tensor.zero_points) > 1 else [1] * len(along)
    )
    real: np.ndarray = ((values - zero_points) * scales).astype(np.float32)
    return real
