"""A float SSD model that computes with the rounding of its int8 form, for fine-tuning.

Relies on `SSDMetaArch`, whose feature extractor and box predictor are built from Keras layers. They cannot be cloned
the way tensorflow-model-optimization does it (docs/edge-tpu.md explains why), so each layer's `call` is wrapped with
TensorFlow's fake quantization: the forward pass rounds values, gradients pass unchanged (Jacob et al. 2018,
"Quantization and training of neural networks for efficient integer-arithmetic-only inference").

Layers, variables and their names stay the same: a checkpoint of the fine-tuned model fits the plain one, which is
exported like any other. The simulation follows TFLite's 8-bit specification:

- filters: symmetric, -127 to 127, one scale per output channel. The normalization after a convolution scales entire
  channels, so rounding before or after folding it in gives the same result.
- inputs of convolutions and Add layers (a pyramid adds its upsampled maps without a layer), and the model's outputs:
  asymmetric, 256 values, one scale per tensor, over the range in the batch, 0 included. TFLite fuses normalization and
  activation into the preceding convolution.
- outputs of convolutions that have a bias: nothing is fused after them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

# One CONCATENATION joins the levels of the heads, and TFLite gives all of its inputs one scale.
_PREDICTIONS = ("box_encodings", "class_predictions_with_background")
_SMALLEST_RANGE = 1e-6

_Call = Callable[..., Any]


def simulate_int8(model: Any) -> int:
    """Make a built SSD model round what int8 rounds, from the next trace on; return the number of changed layers.

    The model is changed in place: it is for fine-tuning only, and the export builds a plain one.
    """
    import tensorflow as tf

    layers = tf.keras.layers
    wrappers: dict[type, Callable[[Any], _Call]] = {
        layers.Conv2D: lambda layer: _rounded_convolution(layer, "kernel"),
        layers.DepthwiseConv2D: lambda layer: _rounded_convolution(layer, "depthwise_kernel"),
        layers.SeparableConv2D: _rounded_separable_convolution,
        layers.Add: _rounded_addition,
    }
    heads = {id(layer) for layer in model._box_predictor.submodules}
    wrapped = [layer for layer in model.submodules if type(layer) in wrappers]
    for layer in wrapped:
        call = wrappers[type(layer)](layer)
        has_bias = getattr(layer, "use_bias", False)
        layer.call = _with_rounded_output(call) if has_bias and id(layer) not in heads else call
    model.predict = _rounded_predictions(model.predict)
    return len(wrapped)


def round_filters(filters: tf.Tensor, *, depthwise: bool) -> tf.Tensor:
    """Return filters [height, width, in, out] with 255 values per output channel.

    A depthwise convolution has in x out output channels, any other has out.
    """
    import tensorflow as tf

    shape = filters.shape
    channels = shape[2] * shape[3] if depthwise else shape[3]
    rows = tf.reshape(filters, [-1, channels])
    largest = tf.stop_gradient(tf.maximum(tf.reduce_max(tf.abs(rows), axis=0), _SMALLEST_RANGE))
    rounded = tf.quantization.fake_quant_with_min_max_vars_per_channel(rows, -largest, largest, narrow_range=True)
    return tf.reshape(rounded, shape)


def round_activations(values: tf.Tensor) -> tf.Tensor:
    """Return a tensor rounded to 256 values over its range, one of which is 0."""
    import tensorflow as tf

    lowest = tf.stop_gradient(tf.minimum(tf.reduce_min(values), 0.0))
    highest = tf.stop_gradient(tf.maximum(tf.reduce_max(values), lowest + _SMALLEST_RANGE))
    return tf.quantization.fake_quant_with_min_max_vars(values, lowest, tf.maximum(highest, 0.0))


def _rounded_convolution(layer: Any, filters_name: str) -> _Call:
    original = layer.call

    def call(inputs: tf.Tensor) -> Any:
        filters = vars(layer)[filters_name]
        # Bypass Keras' attribute setter, which would untrack the variable.
        vars(layer)[filters_name] = round_filters(filters, depthwise=filters_name == "depthwise_kernel")
        try:
            return original(round_activations(inputs))
        finally:
            vars(layer)[filters_name] = filters

    return call


def _rounded_separable_convolution(layer: Any) -> _Call:
    """TFLite splits it into two convolutions with an int8 tensor between them."""
    import tensorflow as tf

    def call(inputs: tf.Tensor) -> Any:
        between = tf.nn.depthwise_conv2d(
            round_activations(inputs),
            round_filters(layer.depthwise_kernel, depthwise=True),
            strides=(1, *layer.strides, 1),
            padding=layer.padding.upper(),
            dilations=layer.dilation_rate,
        )
        outputs = tf.nn.conv2d(
            round_activations(between), round_filters(layer.pointwise_kernel, depthwise=False), 1, "VALID"
        )
        if layer.use_bias:
            outputs = tf.nn.bias_add(outputs, layer.bias)
        return layer.activation(outputs)

    return call


def _rounded_addition(layer: Any) -> _Call:
    original = layer.call

    def call(inputs: list[tf.Tensor]) -> Any:
        return original([round_activations(value) for value in inputs])

    return call


def _with_rounded_output(original: _Call) -> _Call:
    def call(inputs: tf.Tensor) -> Any:
        return round_activations(original(inputs))

    return call


def _rounded_predictions(original: _Call) -> _Call:
    def predict(*arguments: Any, **options: Any) -> Any:
        predictions = dict(original(*arguments, **options))
        for name in _PREDICTIONS:
            predictions[name] = round_activations(predictions[name])
        return predictions

    return predict
