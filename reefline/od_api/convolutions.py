"""The convolutions of an OD API model: their variables, their normalization, and how they are connected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reefline.od_api.tracing import without_autograph
from reefline.structures.convolution_graph import BOXES, SCORES, ConvolutionNode, connect, unite_sources

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

_CONVOLUTIONS = {"Conv2D": False, "DepthwiseConv2dNative": True}
_READS = ("ReadVariableOp", "Identity")
_OUTPUTS = {BOXES: "box_encodings", SCORES: "class_predictions_with_background"}


@dataclass(frozen=True, eq=False)
class Normalization:
    """The variables of a convolution's batch normalization, each [channels]; `gamma` is None where it has no scale."""

    gamma: tf.Variable | None
    beta: tf.Variable
    mean: tf.Variable
    variance: tf.Variable
    epsilon: float


@dataclass(frozen=True, eq=False)
class ModelConvolution:
    """One convolution of a model; several may share one kernel (a head that runs on every feature map)."""

    node: ConvolutionNode
    kernel: tf.Variable
    bias: tf.Variable | None
    normalization: Normalization | None

    @property
    def gamma(self) -> tf.Variable | None:
        """The scale of its normalization, None if it has none."""
        return self.normalization.gamma if self.normalization is not None else None

    @property
    def variables(self) -> tuple[tf.Variable, ...]:
        """All of its variables."""
        norm = self.normalization
        found = [self.kernel, self.bias, *((norm.gamma, norm.beta, norm.mean, norm.variance) if norm else ())]
        return tuple(variable for variable in found if variable is not None)


class TracedConvolutions:
    """The convolutions of a built model in running order, found by tracing one prediction."""

    def __init__(self, model: Any, height_px: int, width_px: int) -> None:
        """Trace `model` on one image of the given size, as inference runs it."""
        import tensorflow as tf

        tf.keras.backend.set_learning_phase(False)
        was_training, model._is_training = model._is_training, False

        def predict(images: tf.Tensor) -> dict[str, tf.Tensor]:
            predictions = model.predict(*model.preprocess(images))
            return {name: predictions[output] for name, output in _OUTPUTS.items()}

        with without_autograph():
            self._function = tf.function(predict, autograph=False).get_concrete_function(
                tf.TensorSpec([1, height_px, width_px, 3], tf.float32)
            )
        model._is_training = was_training
        self._raw_outputs: list[tf.Tensor] = []
        self.convolutions = self._find()

    def measure(self, images: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return mean and variance of each convolution's output per channel, before bias and normalization.

        `images` are float32 [height, width, 3], 0..255, of the traced size. Each result is float64 [channels].
        """
        import numpy as np
        import tensorflow as tf

        graph_def = self._function.graph.as_graph_def()
        captures = self._function.graph.captures
        fed = self._function.inputs[0]

        def moments(image: tf.Tensor) -> list[tuple[tf.Tensor, tf.Tensor]]:
            here = tf.compat.v1.get_default_graph()
            replaced = {inner.name: here.capture(outer) for outer, inner in captures} | {fed.name: image}
            names = [output.name for output in self._raw_outputs]
            outputs = tf.graph_util.import_graph_def(graph_def, replaced, return_elements=names, name="")
            return [(tf.reduce_mean(x, [0, 1, 2]), tf.reduce_mean(tf.square(x), [0, 1, 2])) for x in outputs]

        function = tf.function(moments, autograph=False)
        # One pair of moments per convolution and image; images are few, channels at most some thousands.
        found = [function(tf.constant(image[np.newaxis])) for image in images]
        averages = [
            [np.mean([pair[part].numpy() for pair in pairs], axis=0, dtype=np.float64) for part in (0, 1)]
            for pairs in zip(*found, strict=True)
        ]
        return [(mean, np.maximum(square - mean**2, 0.0)) for mean, square in averages]

    def _find(self) -> tuple[ModelConvolution, ...]:
        graph = self._function.graph
        reading = _VariableReader(graph)
        reaching: dict[Any, tuple[int, ...]] = {}
        nodes: list[ConvolutionNode] = []
        parts: list[_Parts] = []
        for operator in graph.get_operations():
            sources = unite_sources(reaching.get(value.ref(), ()) for value in operator.inputs)
            if operator.type in _CONVOLUTIONS:
                kernel = reading.variable(operator.inputs[1])
                height, width, channels_in, channels_out = (int(side) for side in kernel.shape)
                nodes.append(
                    ConvolutionNode(
                        is_depthwise=_CONVOLUTIONS[operator.type],
                        kernel_shape=(height, width, channels_in, channels_out),
                        stride=int(operator.get_attr("strides")[1]),
                        sources=sources,
                    )
                )
                parts.append(_Parts(kernel))
                self._raw_outputs.append(operator.outputs[0])
                sources = (len(nodes) - 1,)
            elif operator.type == "BiasAdd" and operator.inputs[0].op.type in _CONVOLUTIONS:
                parts[sources[0]].bias = reading.variable(operator.inputs[1])
            elif operator.type.startswith("FusedBatchNorm") and len(sources) == 1:
                parts[sources[0]].normalization = reading.normalization(operator)
            reaching.update({output.ref(): sources for output in operator.outputs})
        results = self._function.structured_outputs
        heads = {name: reaching.get(results[name].ref(), ()) for name in _OUTPUTS}
        return tuple(
            ModelConvolution(node, part.kernel, part.bias, part.normalization)
            for node, part in zip(connect(nodes, heads), parts, strict=True)
        )


@dataclass
class _Parts:
    """What belongs to one convolution, filled in as the operators that follow it are seen."""

    kernel: tf.Variable
    bias: tf.Variable | None = None
    normalization: Normalization | None = None


class _VariableReader:
    """Finds the variable behind a tensor of a traced function."""

    def __init__(self, graph: Any) -> None:
        handles = {id(variable.handle): variable for variable in graph.variables}
        self._variables = {id(inner): handles[id(outer)] for outer, inner in graph.captures if id(outer) in handles}

    def variable(self, value: Any) -> Any:
        while value.op.type in _READS:
            value = value.op.inputs[0]
        return self._variables.get(id(value))

    def normalization(self, operator: Any) -> Normalization:
        gamma, beta, mean, variance = (self.variable(value) for value in operator.inputs[1:5])
        return Normalization(gamma, beta, mean, variance, float(operator.get_attr("epsilon")))
