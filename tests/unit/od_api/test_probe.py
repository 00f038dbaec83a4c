"""An untrained model tells its shapes, anchors, memory and learning rates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reefline.od_api import compat, model_config, probe
from reefline.settings import TrainerSettings
from tests.factories_training import write_labels


@pytest.fixture(autouse=True, scope="module")
def od_api() -> None:
    compat.apply()


def build(tmp_path: Path, model: str = "ssd_mobilenet_v2_tiny", **values: object):
    settings = TrainerSettings(model=model, **{"input_size": 96, "batch_size": 4, **values})
    files = model_config.TrainingFiles((), (), write_labels(tmp_path / "label_map.pbtxt"))
    return model_config.build_pipeline_config(model_config.load_template(model), settings, files)


def test_shapes_parameters_and_memory(tmp_path: Path) -> None:
    found = probe.probe_model(build(tmp_path), "ssd_mobilenet_v2_tiny")
    facts = found.facts
    assert facts.input_size_px == (96, 96)
    assert facts.image_batch == (4, 96, 96, 3)
    assert facts.feature_maps[0][:3] == (4, 6, 6)
    assert len(facts.feature_maps) == 6
    assert facts.anchors == len(found.anchors_yxyx) > 100
    assert facts.box_encodings == (4, facts.anchors, 4)
    # Two classes and the background.
    assert facts.class_scores == (4, facts.anchors, 3)
    assert 800_000 < facts.trainable_parameters < facts.total_parameters < 1_000_000
    assert found.weights_bytes == 4 * facts.total_parameters
    assert 0 <= found.anchors_yxyx.mean() <= 1
    # MobileNetV2 0.35 at 96 px: a quarter of the 36 MB that an image of 192 px was measured to take.
    assert 7e6 < found.activation_bytes_per_image < 12e6
    added = found.estimate_training_bytes(6) - found.estimate_training_bytes(4)
    assert added == 2 * found.activation_bytes_per_image


def test_anchors_are_compared_by_iou() -> None:
    anchors = np.array([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]], np.float32)
    boxes = [
        (0.0, 0.0, 0.5, 0.4),  # IoU 0.8
        (0.0, 0.0, 0.1, 0.1),  # too small
        (0.0, 0.0, 1.0, 1.0),  # too large
        (0.0, 0.0, 1.0, 0.25),  # of another shape, and as large as an anchor
    ]
    fit = probe.measure_anchor_fit(anchors, boxes, 0.5)
    assert (fit.boxes, fit.missed, fit.smaller, fit.larger) == (4, 3, 1, 1)
    assert fit.median_best_iou == pytest.approx((0.25 + 1 / 3) / 2, abs=1e-6)


def test_no_boxes_have_no_fit() -> None:
    assert probe.measure_anchor_fit(np.zeros((1, 4), np.float32), [], 0.5).boxes == 0


def test_rates_of_the_schedule(tmp_path: Path) -> None:
    rates = probe.read_learning_rates(build(tmp_path, num_steps=101, warmup_steps=10, learning_rate=0.1))
    assert next(iter(rates)) == 0
    assert list(rates)[-1] == 100
    assert rates[0] == pytest.approx(0.01)
    assert rates[10] == pytest.approx(0.1)
    assert 0 <= rates[100] < 1e-3
    assert list(probe.read_learning_rates(build(tmp_path, num_steps=1))) == [0]


def test_a_constant_rate(tmp_path: Path) -> None:
    config = build(tmp_path)
    config.train_config.optimizer.momentum_optimizer.learning_rate.constant_learning_rate.learning_rate = 0.5
    assert set(probe.read_learning_rates(config).values()) == {0.5}


def test_remedy_and_threshold_are_those_of_the_template(tmp_path: Path) -> None:
    plain, pyramid = build(tmp_path), build(tmp_path, "ssd_mobilenet_v2_fpnlite_320")
    assert "min_scale" in probe.describe_anchor_remedy(plain)
    assert "trainer.input_size" in probe.describe_anchor_remedy(pyramid)
    plain.model.ssd.matcher.argmax_matcher.matched_threshold = 0.4
    assert probe.read_match_threshold(plain) == pytest.approx(0.4)
    plain.model.ssd.matcher.bipartite_matcher.SetInParent()
    assert probe.read_match_threshold(plain) == 0.5


@pytest.mark.parametrize(
    ("model", "input_size"),
    [
        pytest.param("ssd_mobilenet_v2_tiny", 108, id="ssd"),
        pytest.param("ssd_mobilenet_v2_fpnlite_320", 96, id="feature-pyramid"),
    ],
)
def test_anchors_without_a_model_are_the_models(tmp_path: Path, model: str, input_size: int) -> None:
    config = build(tmp_path, model, input_size=input_size)
    built = probe.probe_model(config, model).anchors_yxyx
    np.testing.assert_allclose(probe.generate_anchors(config), built, atol=1e-6)


def test_many_boxes_fit_as_each_alone(tmp_path: Path) -> None:
    anchors = probe.generate_anchors(build(tmp_path))
    corners = np.random.default_rng(0).uniform(0.0, 0.4, (70, 4))
    boxes = [(y, x, y + height + 0.02, x + width + 0.02) for y, x, height, width in corners]
    together = probe.measure_anchor_fit(anchors, boxes, 0.5)
    assert together.missed == sum(probe.measure_anchor_fit(anchors, [box], 0.5).missed for box in boxes)
    assert 0 < together.missed < together.boxes == 70
