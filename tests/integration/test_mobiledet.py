"""MobileDet in Keras against the OD API's own graph for TensorFlow 1."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np
import pytest

from reefline.od_api import compat, mobiledet, model_config

SIZE_PX = 128


@pytest.fixture(autouse=True)
def od_api(monkeypatch: pytest.MonkeyPatch) -> None:
    compat.apply()
    # tf_slim's batch normalization looks for these where Keras 2 had them.
    for name in ("legacy_tf_layers", "legacy_tf_layers.normalization"):
        monkeypatch.setitem(sys.modules, f"tf_keras.{name}", importlib.import_module(f"tf_keras.src.{name}"))


def build_keras_extractor(hyperparams: Any) -> Any:
    from object_detection.builders import hyperparams_builder

    return mobiledet.make_feature_extractor_class()(
        is_training=False,
        depth_multiplier=1.0,
        min_depth=16,
        pad_to_multiple=1,
        conv_hyperparams=hyperparams_builder.KerasLayerHyperparams(hyperparams),
        freeze_batchnorm=False,
        inplace_batchnorm_update=False,
        use_depthwise=True,
        name="MobileDet",
    )


def run_tf1_graph(hyperparams: Any, image: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return feature maps and all weights of the OD API's graph, in the order in which it makes them."""
    import tensorflow.compat.v1 as tf
    from object_detection.builders import hyperparams_builder
    from object_detection.models.ssd_mobiledet_feature_extractor import SSDMobileDetEdgeTPUFeatureExtractor

    with tf.Graph().as_default(), tf.Session() as session:
        extractor = SSDMobileDetEdgeTPUFeatureExtractor(
            is_training=False,
            depth_multiplier=1.0,
            min_depth=16,
            pad_to_multiple=1,
            conv_hyperparams_fn=hyperparams_builder.build(hyperparams, is_training=False),
            use_depthwise=True,
        )
        maps = extractor.extract_features(tf.constant(image))
        variables = tf.global_variables()
        session.run(tf.global_variables_initializer())
        generator = np.random.default_rng(0)
        for variable in variables:
            # Fresh statistics are 0 and 1 everywhere, which would hide an epsilon or a swapped layer.
            if "moving_variance" in variable.name or "gamma" in variable.name:
                variable.load(generator.uniform(0.8, 1.2, variable.shape.as_list()).astype(np.float32), session)
            elif "moving_mean" in variable.name or "beta" in variable.name:
                variable.load(generator.normal(0.0, 0.05, variable.shape.as_list()).astype(np.float32), session)
        return session.run(maps), session.run(variables)


def test_feature_maps_equal_those_of_the_od_apis_graph() -> None:
    import tensorflow as tf

    template = model_config.load_template("ssdlite_mobiledet_320")
    config = model_config.build_model_config(template, SIZE_PX, 2)
    hyperparams = config.model.ssd.feature_extractor.conv_hyperparams
    image = np.random.default_rng(1).uniform(-1, 1, (1, SIZE_PX, SIZE_PX, 3)).astype(np.float32)
    expected, weights = run_tf1_graph(hyperparams, image)
    extractor = build_keras_extractor(hyperparams)
    extractor(tf.constant(image))
    layers = [*extractor.classification_backbone.layers, *flatten(extractor._feature_map_generator.convolutions)]
    mine = [variable for layer in layers for variable in layer.variables]
    assert [tuple(v.shape) for v in mine] == [w.shape for w in weights]
    for variable, value in zip(mine, weights, strict=True):
        variable.assign(value)
    found = extractor(tf.constant(image))
    assert [each.shape[-1] for each in found] == [96, 384, 512, 256, 256, 128]
    for each, reference in zip(found, expected, strict=True):
        # float32 sums in another order: the error grows with the values.
        assert np.abs(each.numpy() - reference).max() <= 1e-4 * max(1.0, float(np.abs(reference).max()))


def flatten(convolutions: Any) -> list[Any]:
    return [layer for net in convolutions for layer in net]


@pytest.mark.parametrize(
    ("filters", "multiplier", "expected"),
    [
        pytest.param(32, 1.0, 32, id="unscaled"),
        pytest.param(12, 1.0, 16, id="half-rounds-up"),
        pytest.param(40, 0.25, 8, id="down"),
        pytest.param(8, 0.1, 8, id="never-below-8"),
    ],
)
def test_filters_are_multiples_of_8(filters: int, multiplier: float, expected: int) -> None:
    assert mobiledet.scale_filters(filters, multiplier) == expected
