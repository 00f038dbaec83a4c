"""What int8 rounds is rounded, and nothing of the model but its arithmetic is changed."""

from typing import Any

import numpy as np
import pytest

from reefline.od_api import compat
from reefline.od_api.int8_simulation import round_activations, round_filters, simulate_int8

CONVOLUTIONS = ("convolution", "depthwise", "separable")


@pytest.fixture(scope="module")
def tf() -> Any:
    compat.apply()
    import tensorflow

    return tensorflow


def make_convolution(tf: Any, kind: str, *, use_bias: bool) -> Any:
    if kind == "convolution":
        return tf.keras.layers.Conv2D(5, 3, padding="same", use_bias=use_bias)
    if kind == "depthwise":
        return tf.keras.layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, use_bias=use_bias)
    return tf.keras.layers.SeparableConv2D(5, 3, padding="same", use_bias=use_bias)


def make_detector(tf: Any, layer: Any) -> Any:
    """Return one layer and heads of one convolution, with those attributes of an SSD that the simulation stands on."""

    class Heads(tf.keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = tf.keras.layers.Conv2D(4, 1, use_bias=True)

        def call(self, inputs: Any) -> Any:
            return self.convolution(inputs)

    class Detector(tf.keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.features = layer
            self._box_predictor = Heads()

        def predict(self, inputs: Any) -> dict[str, Any]:
            boxes = self._box_predictor(self.features(inputs))
            return {"box_encodings": boxes, "class_predictions_with_background": 2.0 * boxes, "anchors": boxes}

    return Detector()


def draw(tf: Any, *shape: int, seed: int = 0) -> Any:
    return tf.constant(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


@pytest.mark.parametrize(
    ("shape", "depthwise"),
    [((3, 3, 4, 6), False), ((3, 3, 4, 1), True), ((3, 3, 4, 2), True)],
    ids=["convolution", "depthwise", "depthwise_multiplied"],
)
def test_filters_have_255_values_per_output_channel(tf: Any, shape: tuple[int, ...], depthwise: bool) -> None:
    channels = shape[2] * shape[3] if depthwise else shape[3]
    rows = draw(tf, int(np.prod(shape)) // channels, channels) * np.geomspace(0.01, 100, channels).astype(np.float32)
    rounded = round_filters(tf.reshape(rows, shape), depthwise=depthwise)
    assert tuple(rounded.shape) == shape
    scales = np.abs(rows.numpy()).max(axis=0) / 127
    levels = rounded.numpy().reshape(rows.shape) / scales
    assert np.abs(levels - np.round(rows.numpy() / scales)).max() < 1e-3
    assert np.abs(levels).max() == pytest.approx(127)


def test_a_channel_without_weights_stays_zero(tf: Any) -> None:
    assert not np.any(round_filters(tf.zeros([3, 3, 2, 4]), depthwise=False).numpy())


@pytest.mark.parametrize(
    ("lowest", "highest"), [(-1.0, 3.0), (0.5, 6.0), (-4.0, -1.0)], ids=["both_signs", "positive", "negative"]
)
def test_activations_have_256_values_over_their_range_and_zero(tf: Any, lowest: float, highest: float) -> None:
    values = tf.linspace(tf.constant(lowest), tf.constant(highest), 2001)
    step = (max(highest, 0.0) - min(lowest, 0.0)) / 255
    rounded = round_activations(values).numpy()
    assert np.abs(rounded / step - np.round(rounded / step)).max() < 1e-3
    assert np.abs(rounded - values.numpy()).max() < step
    assert round_activations(tf.constant([lowest, 0.0, highest])).numpy()[1] == 0.0


def test_gradients_pass_through_the_rounding(tf: Any) -> None:
    values, filters = tf.Variable(draw(tf, 200)), tf.Variable(draw(tf, 1, 1, 3, 2))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(round_activations(values)) + tf.reduce_sum(round_filters(filters, depthwise=False))
    of_values, of_filters = (gradient.numpy() for gradient in tape.gradient(total, [values, filters]))
    assert np.array_equal(of_filters, np.ones([1, 1, 3, 2]))
    # One end of the range may lie outside, by less than a step: zero has to be among the values.
    assert np.count_nonzero(of_values == 1.0) >= 199


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_a_convolution_rounds_its_filters_and_what_it_takes(tf: Any, kind: str) -> None:
    layer, images = make_convolution(tf, kind, use_bias=False), draw(tf, 2, 6, 6, 3)
    detector = make_detector(tf, layer)
    plain = detector.features(images).numpy()
    before = [(variable.name, variable.numpy()) for variable in detector.trainable_variables]
    simulate_int8(detector)
    simulated = detector.features(images).numpy()

    expected = round_activations(images)
    if kind == "convolution":
        expected = tf.nn.conv2d(expected, round_filters(layer.kernel, depthwise=False), 1, "SAME")
    else:
        filters = round_filters(layer.depthwise_kernel, depthwise=True)
        expected = tf.nn.depthwise_conv2d(expected, filters, (1, 1, 1, 1), "SAME")
    if kind == "separable":
        pointwise = round_filters(layer.pointwise_kernel, depthwise=False)
        expected = tf.nn.conv2d(round_activations(expected), pointwise, 1, "VALID")
    np.testing.assert_allclose(simulated, expected.numpy(), rtol=1e-5, atol=1e-6)
    assert not np.allclose(simulated, plain, rtol=1e-5, atol=1e-6)
    for (name, value), variable in zip(before, detector.trainable_variables, strict=True):
        assert variable.name == name
        assert np.array_equal(variable.numpy(), value)


def test_an_addition_takes_rounded_terms(tf: Any) -> None:
    detector, terms = (
        make_detector(tf, tf.keras.layers.Add()),
        [draw(tf, 1, 4, 4, 3), 10 * draw(tf, 1, 4, 4, 3, seed=1)],
    )
    simulate_int8(detector)
    expected = round_activations(terms[0]) + round_activations(terms[1])
    np.testing.assert_allclose(detector.features(terms).numpy(), expected.numpy(), rtol=1e-6)


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_outputs_are_rounded_where_no_normalization_follows(tf: Any, kind: str) -> None:
    detector, images = make_detector(tf, make_convolution(tf, kind, use_bias=True)), draw(tf, 1, 16, 16, 3)
    assert len(np.unique(detector.features(images).numpy())) > 1000
    simulate_int8(detector)
    assert len(np.unique(detector.features(images).numpy())) <= 256


def test_predictions_are_rounded_once_for_all_levels(tf: Any) -> None:
    detector, images = make_detector(tf, make_convolution(tf, "convolution", use_bias=False)), draw(tf, 1, 32, 32, 3)
    detector.predict(images)
    assert simulate_int8(detector) == 2
    predictions = detector.predict(images)
    assert len(np.unique(predictions["anchors"].numpy())) > 1000
    for name in ("box_encodings", "class_predictions_with_background"):
        assert len(np.unique(predictions[name].numpy())) <= 256


def test_every_variable_is_trained_through_the_simulation(tf: Any) -> None:
    detector, images = make_detector(tf, make_convolution(tf, "separable", use_bias=False)), draw(tf, 1, 6, 6, 3)
    detector.predict(images)
    simulate_int8(detector)

    @tf.function(autograph=False)
    def compute_gradients() -> list[Any]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(detector.predict(images)["box_encodings"]))
        return tape.gradient(loss, detector.trainable_variables)

    gradients = compute_gradients()
    assert len(gradients) == 4
    assert all(np.any(gradient.numpy()) for gradient in gradients)
