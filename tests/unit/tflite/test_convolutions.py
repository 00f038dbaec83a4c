from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reefline.errors import BundleError
from reefline.structures.convolution_graph import BOXES, SCORES
from reefline.tflite.convolutions import read_convolutions
from tests.factories_tflite import EDGE_TPU, OpSpec, TensorSpec, build_model, write_quantized_detector

COCO_DETECTOR = (
    Path(__file__).resolve().parents[3] / ".." / "shared" / "models" / "coco_ssd_mobilenet_v1_1.0_quant.tflite"
)


def test_weights_are_real_numbers_in_tensorflows_layout(tmp_path: Path) -> None:
    stem, box_head, class_head = read_convolutions(write_quantized_detector(tmp_path / "m.tflite"))
    assert stem.kernel.shape == (1, 1, 4, 2)
    np.testing.assert_allclose(stem.kernel[0, 0, :, 0], [0.0, 0.5, 1.0, 1.5])
    np.testing.assert_allclose(stem.kernel[0, 0, :, 1], [1.0, 1.25, 1.5, 1.75])
    np.testing.assert_allclose(stem.bias, [0.4, -1.6], rtol=1e-6)
    assert (box_head.kernel == 6.0).all()
    assert (stem.node.stride, stem.node.sources, stem.node.results) == (2, (), {BOXES, SCORES})
    assert (box_head.node.sources, box_head.node.results, class_head.node.is_class_head) == ((0,), {BOXES}, True)


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        pytest.param(
            TensorSpec("kernel", (2, 1, 1, 4), "FLOAT32", (), bytes(32)),
            "found FLOAT32 weights, expected 8-bit ones",
            id="float",
        ),
        pytest.param(TensorSpec("kernel", (2, 1, 1, 4)), "found computed weights", id="computed"),
        pytest.param(TensorSpec("kernel", (2, 1, 1, 4), data=bytes(5)), "damaged, cannot read its weights", id="cut"),
        pytest.param(TensorSpec("kernel", (2, 1, 1, 4), scales=(), data=bytes(8)), "cannot read its weights", id="raw"),
    ],
)
def test_weights_that_cannot_be_read_are_named(tmp_path: Path, kernel: TensorSpec, message: str) -> None:
    with pytest.raises(BundleError, match=rf"m\.tflite: .*{message}"):
        read_convolutions(write_quantized_detector(tmp_path / "m.tflite", kernel=kernel))


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        pytest.param(EDGE_TPU, "compiled for the Edge TPU", id="compiled"),
        pytest.param("FlexConv2D", r"contains TensorFlow operators \(FlexConv2D\)", id="flex"),
        pytest.param("RELU", "contains no convolution", id="no-convolution"),
    ],
)
def test_other_models_are_refused_with_what_to_use(tmp_path: Path, operator: str, message: str) -> None:
    content = build_model([TensorSpec("a"), TensorSpec("b")], [OpSpec(operator, ("a",), ("b",))], ["a"], ["b"])
    (tmp_path / "m.tflite").write_bytes(content)
    with pytest.raises(BundleError, match=message):
        read_convolutions(tmp_path / "m.tflite")


@pytest.mark.skipif(not COCO_DETECTOR.is_file(), reason="the published detector is not in ../shared/models")
def test_the_published_detector_is_read_as_a_whole() -> None:
    convolutions = read_convolutions(COCO_DETECTOR)
    assert len(convolutions) == 47
    assert sum(convolution.node.is_class_head for convolution in convolutions) == 6
    assert convolutions[0].node.kernel_shape == (3, 3, 3, 24)
