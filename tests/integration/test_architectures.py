"""The structure of each template, and weights that are attributed to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reefline.od_api import compat, model_config
from reefline.od_api.architectures import (
    ARCHITECTURES,
    describe_architecture,
    find_templates_of_checkpoint,
    find_templates_of_network,
)
from reefline.tflite.convolutions import read_convolutions
from tests.factories_tflite import write_quantized_detector

COCO_DETECTOR = Path(__file__).resolve().parents[3] / "shared" / "models" / "coco_ssd_mobilenet_v1_1.0_quant.tflite"
CLASSIFIER = COCO_DETECTOR.with_name("tf2_mobilenet_v2_1.0_224_ptq.tflite")
needs_models = pytest.mark.skipif(not CLASSIFIER.is_file(), reason="../shared/models is missing")
SIZE_PX = 128
QUICK = ("ssd_mobilenet_v1_300", "ssd_mobilenet_v2_320", "ssd_mobilenet_v2_fpnlite_320", "ssd_mobilenet_v2_tiny")
SLOW = tuple(name for name in ARCHITECTURES if name not in QUICK)


def build(template: str, size_px: int, classes: int) -> Any:
    compat.apply()
    import tensorflow as tf

    from reefline.od_api.building import build_model
    from reefline.od_api.tracing import without_autograph

    config = model_config.build_model_config(model_config.load_template(template), size_px, classes)
    tf.keras.backend.set_learning_phase(False)
    model = build_model(config.model, is_training=True)
    model._is_training = False
    with without_autograph():
        model.predict(*model.preprocess(tf.zeros([1, size_px, size_px, 3])))
    return model


def read_shapes(model: Any, folder: Path) -> dict[str, list[int]]:
    """Return the shapes of the variables in a checkpoint of the model."""
    import tensorflow as tf

    prefix = tf.train.Checkpoint(model=model).save(str(folder / "ckpt"))
    return dict(tf.train.load_checkpoint(prefix).get_variable_to_shape_map())


def test_entries_belong_to_templates() -> None:
    assert set(ARCHITECTURES) <= set(model_config.list_templates())


@pytest.mark.parametrize("template", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_the_entry_is_that_of_the_built_model(template: str, tmp_path: Path) -> None:
    size_px = SIZE_PX if template in QUICK else 2 * SIZE_PX
    model = build(template, size_px, classes=5)
    shapes = read_shapes(model, tmp_path)
    assert describe_architecture(model, size_px, shapes) == ARCHITECTURES[template]
    assert template in find_templates_of_checkpoint(shapes)


@needs_models
@pytest.mark.parametrize(
    ("path", "templates"),
    [
        pytest.param(COCO_DETECTOR, ("ssd_mobilenet_v1_300",), id="detector"),
        pytest.param(
            CLASSIFIER,
            ("ssd_mobilenet_v2_320", "ssd_mobilenet_v2_fpnlite_320", "ssd_mobilenet_v2_fpnlite_640"),
            id="classifier",
        ),
    ],
)
def test_a_file_belongs_to_the_templates_of_its_structure(path: Path, templates: tuple[str, ...]) -> None:
    assert find_templates_of_network([each.node for each in read_convolutions(path)]) == templates


def test_an_unknown_structure_belongs_to_no_template(tmp_path: Path) -> None:
    network = [each.node for each in read_convolutions(write_quantized_detector(tmp_path / "m.tflite"))]
    assert find_templates_of_network(network) == ()
    assert find_templates_of_checkpoint({"model/kernel/.ATTRIBUTES/VARIABLE_VALUE": [1, 1, 8, 8]}) == ()


@pytest.mark.parametrize(
    ("drop", "templates"),
    [
        pytest.param("_box_predictor", 3, id="other-heads"),
        pytest.param("class_predictions_with_background", 1, id="other-classes"),
        pytest.param("classification_backbone", 0, id="other-backbone"),
    ],
)
def test_what_is_left_of_a_checkpoint_decides(drop: str, templates: int, tmp_path: Path) -> None:
    shapes = read_shapes(build("ssd_mobilenet_v2_320", SIZE_PX, classes=2), tmp_path)
    left = {key: shape for key, shape in shapes.items() if drop not in key}
    assert len(left) < len(shapes)
    assert len(find_templates_of_checkpoint(left)) == templates
