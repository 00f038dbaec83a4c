"""Weights that went into an int8 TFLite file come back out of it, whichever way the architecture is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reefline.errors import CheckpointError
from reefline.od_api import compat, model_config
from reefline.settings import ExporterSettings

COCO_DETECTOR = (
    Path(__file__).resolve().parents[2] / ".." / "shared" / "models" / "coco_ssd_mobilenet_v1_1.0_quant.tflite"
)
CLASSIFIER = COCO_DETECTOR.with_name("tf2_mobilenet_v2_1.0_224_ptq.tflite")
needs_models = pytest.mark.skipif(not CLASSIFIER.is_file(), reason="../shared/models is missing")


@pytest.fixture(autouse=True, scope="module")
def od_api() -> None:
    compat.apply()


def build(template: str, size_px: int, classes: int = 3) -> tuple[Any, Any]:
    """Return a pipeline.config and its model with variables, as training builds it."""
    import tensorflow as tf

    from reefline.od_api.building import build_model
    from reefline.od_api.tracing import without_autograph

    config = model_config.build_model_config(model_config.load_template(template), size_px, classes)
    tf.keras.backend.set_learning_phase(False)
    model = build_model(config.model, is_training=True)
    model._is_training = False
    with without_autograph():
        model.predict(*model.preprocess(tf.zeros([1, size_px, size_px, 3])))
    return config, model


def draw_images(size_px: int, count: int = 8) -> list[np.ndarray]:
    """Return images with coarse structure, float32 0..255: noise alone would leave most channels alike."""
    generator = np.random.default_rng(0)
    coarse = generator.uniform(0, 255, (count, 8, 8, 3)).astype(np.float32)
    return [np.kron(image, np.ones((size_px // 8, size_px // 8, 1), np.float32)) for image in coarse]


def make_trained(model: Any) -> None:
    """Give a model the kind of normalization that training leaves: no two channels alike."""
    generator = np.random.default_rng(1)
    for variable in model.variables:
        if "gamma" in variable.name:
            variable.assign(generator.uniform(0.5, 1.5, variable.shape))
        elif "beta" in variable.name or "moving_mean" in variable.name:
            variable.assign(generator.normal(0.0, 0.1, variable.shape))
        elif "moving_variance" in variable.name:
            variable.assign(generator.uniform(0.01, 0.04, variable.shape))


def predict(model: Any, images: list[np.ndarray], *, is_training: bool = False) -> dict[str, np.ndarray]:
    import tensorflow as tf

    from reefline.od_api.tracing import without_autograph

    tf.keras.backend.set_learning_phase(is_training)
    model._is_training = is_training
    with without_autograph():
        found = model.predict(*model.preprocess(tf.constant(np.stack(images))))
    return {name: found[name].numpy() for name in ("box_encodings", "class_predictions_with_background")}


def export_int8(config: Any, model: Any, images: list[np.ndarray], folder: Path) -> Path:
    import tensorflow as tf

    from reefline.od_api import export
    from reefline.tflite.conversion import convert_to_int8

    prefix = tf.train.Checkpoint(model=model).save(str(folder / "ckpt"))
    export.export_tflite_graph(config, prefix, ExporterSettings(), folder / "graph", for_int8=True)
    pixels = [image.astype(np.uint8) for image in images]
    content = convert_to_int8(folder / "graph", lambda: export.iterate_calibration_inputs(config, pixels))
    (folder / "model.tflite").write_bytes(content)
    return folder / "model.tflite"


def fold(convolution: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return kernel and bias with the normalization folded in, as TFLite's converter folds it."""
    kernel, normalization = convolution.kernel.numpy(), convolution.normalization
    if normalization is None:
        channels = kernel.shape[2] if convolution.node.is_depthwise else kernel.shape[3]
        return kernel, np.zeros(channels) if convolution.bias is None else convolution.bias.numpy()
    scale = normalization.gamma.numpy() / np.sqrt(normalization.variance.numpy() + normalization.epsilon)
    along_outputs = scale[:, np.newaxis] if convolution.node.is_depthwise else scale
    return kernel * along_outputs, normalization.beta.numpy() - normalization.mean.numpy() * scale


@pytest.mark.parametrize(
    ("template", "size_px"),
    [
        pytest.param("ssd_mobilenet_v2_tiny", 96, id="ssd-v2"),
        pytest.param("ssd_mobilenet_v1_300", 96, id="ssd-v1"),
        pytest.param("ssd_mobilenet_v2_fpnlite_320", 128, id="fpn-lite-shared-heads"),
        pytest.param("ssdlite_mobiledet_320", 96, id="mobiledet", marks=pytest.mark.slow),
        pytest.param("ssd_resnet50_fpn_640", 160, id="resnet-fpn", marks=pytest.mark.slow),
    ],
)
def test_every_weight_of_an_exported_model_comes_back(template: str, size_px: int, tmp_path: Path) -> None:
    from reefline.od_api.convolutions import TracedConvolutions
    from reefline.structures.convolution_graph import match_convolutions
    from reefline.tflite.convolutions import read_convolutions
    from reefline.training.tflite_weights import load_tflite_weights

    images = draw_images(size_px)
    config, original = build(template, size_px)
    make_trained(original)
    path = export_int8(config, original, images, tmp_path)
    _, restored = build(template, size_px)
    report = load_tflite_weights(restored, path, images)
    assert report.restored_variables == report.total_variables and not report.not_restored
    mine, theirs = TracedConvolutions(restored, size_px, size_px).convolutions, read_convolutions(path)
    matches = match_convolutions([each.node for each in mine], [each.node for each in theirs])
    assert len(matches) == len(mine) == len(theirs)
    for position, counterpart in matches.items():
        kernel, bias = fold(mine[position])
        expected = theirs[counterpart]
        # Convolutions that share a kernel were rounded one by one: two steps of 1/127 of the range apart at most.
        assert np.abs(kernel - expected.kernel).max() <= 2 / 127 * np.abs(expected.kernel).max()
        np.testing.assert_allclose(bias, expected.bias, rtol=1e-3, atol=1e-3 * max(1.0, np.abs(expected.bias).max()))


@pytest.mark.parametrize(
    ("template", "size_px"),
    [
        pytest.param("ssd_mobilenet_v2_tiny", 96, id="ssd-v2"),
        pytest.param("ssd_mobilenet_v2_fpnlite_320", 128, id="fpn-lite-shared-heads"),
    ],
)
def test_a_model_that_came_back_predicts_the_same(template: str, size_px: int, tmp_path: Path) -> None:
    """Shallow models only: with random weights, deep ones blow int8's rounding up until nothing can be compared."""
    from reefline.training.tflite_weights import load_tflite_weights

    images = draw_images(size_px)
    config, original = build(template, size_px)
    make_trained(original)
    path = export_int8(config, original, images, tmp_path)
    _, restored = build(template, size_px)
    load_tflite_weights(restored, path, images)
    before, after = predict(original, images), predict(restored, images)
    for name, expected in before.items():
        # int8 rounds each weight to 1/254 of its channel's range; layers add up.
        assert np.corrcoef(expected.ravel(), after[name].ravel())[0, 1] > 0.98, name
    training = predict(restored, images, is_training=True)
    for name, expected in after.items():
        # Training normalizes by the batch, which is what the moving statistics were measured on.
        assert np.corrcoef(expected.ravel(), training[name].ravel())[0, 1] > 0.9, name


@needs_models
def test_the_published_detector_gives_everything_but_the_class_head() -> None:
    from reefline.training.tflite_weights import load_tflite_weights

    _, model = build("ssd_mobilenet_v1_300", 304)
    text = load_tflite_weights(model, COCO_DETECTOR, draw_images(304, 2)).describe()
    assert "class head" in text and "3 classes here, 90 in the file" in text
    head = next(v for v in model.trainable_variables if "ConvolutionalBoxHead_0/BoxEncodingPredictor/kernel" in v.name)
    assert 0.01 < float(np.abs(head.numpy()).mean()) < 1.0


@needs_models
def test_classes_that_the_published_detector_knows_keep_their_columns() -> None:
    from reefline.tflite.convolutions import read_convolutions
    from reefline.training.tflite_weights import load_tflite_weights

    _, model = build("ssd_mobilenet_v1_300", 304)
    new = read_class_heads(model)
    report = load_tflite_weights(model, COCO_DETECTOR, draw_images(304, 2), ("reef", "Teddy bear", "person"))
    assert "3 classes here, 90 in the file; kept by name: Teddy bear, person" in report.describe()
    files = [each for each in read_convolutions(COCO_DETECTOR) if each.node.is_class_head]
    heads = read_class_heads(model)
    assert len(heads) == len(files) == 6
    for (kernel, bias), (new_kernel, _), file in zip(heads, new, files, strict=True):
        # Four slots here (background and three classes), 91 there: COCO's person is 1, teddy bear is 88.
        mine, theirs = kernel.reshape((*kernel.shape[:3], -1, 4)), file.kernel.reshape((*kernel.shape[:3], -1, 91))
        np.testing.assert_array_equal(mine[..., [0, 2, 3]], theirs[..., [0, 88, 1]])
        np.testing.assert_array_equal(mine[..., 1], new_kernel.reshape(mine.shape)[..., 1])
        np.testing.assert_array_equal(bias.reshape(-1, 4)[:, [0, 2, 3]], file.bias.reshape(-1, 91)[:, [0, 88, 1]])


def read_class_heads(model: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return kernel and bias of each class head, in running order."""
    from reefline.od_api.convolutions import TracedConvolutions

    heads = [each for each in TracedConvolutions(model, 304, 304).convolutions if each.node.is_class_head]
    return [(each.kernel.numpy(), each.bias.numpy()) for each in heads]


@needs_models
def test_a_classifier_gives_the_backbone() -> None:
    from reefline.training.tflite_weights import load_tflite_weights

    _, model = build("ssd_mobilenet_v2_320", 96)
    report = load_tflite_weights(model, CLASSIFIER, draw_images(96, 2))
    backbone = len(model._feature_extractor.classification_backbone.variables)
    assert report.restored_variables == backbone


@needs_models
def test_another_architecture_is_refused() -> None:
    from reefline.training.tflite_weights import load_tflite_weights

    _, model = build("ssd_mobilenet_v2_tiny", 96)
    with pytest.raises(CheckpointError, match=r"another architecture: 0 of the backbone's \d+ convolutions match"):
        load_tflite_weights(model, COCO_DETECTOR, draw_images(96, 1))
