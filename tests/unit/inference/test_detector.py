from __future__ import annotations

import numpy as np
import pytest

from reefline.errors import BundleError
from reefline.inference.detector import TfliteDetector, resize_like_training
from reefline.inference.saved_model_detector import SavedModelDetector
from reefline.tflite.postprocess import read_postprocess_op
from tests.factories_evaluation import build_tflite, make_image, write_saved_model
from tests.factories_tflite import add_unstable_convolution

LEFT_PX, RIGHT_PX = (0, 0, 24, 24), (24, 0, 48, 24)


@pytest.fixture(scope="module")
def detectors(tmp_path_factory):
    directory = tmp_path_factory.mktemp("models")
    write_saved_model(directory / "saved_model")
    (directory / "int8.tflite").write_bytes(build_tflite())
    (directory / "float.tflite").write_bytes(build_tflite(quantized=False))
    (directory / "old.tflite").write_bytes(build_tflite(old_order=True))
    return {
        "saved_model": SavedModelDetector(directory / "saved_model"),
        "int8": TfliteDetector(directory / "int8.tflite"),
        "float": TfliteDetector(directory / "float.tflite"),
        "old-order": TfliteDetector(directory / "old.tflite"),
    }


@pytest.mark.parametrize("kind", ["saved_model", "int8", "float", "old-order"])
@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        pytest.param("red", "green", {0: LEFT_PX, 1: RIGHT_PX}, id="class-0-left"),
        pytest.param("green", "red", {1: LEFT_PX, 0: RIGHT_PX}, id="class-0-right"),
    ],
)
def test_boxes_in_pixels_and_0_based_classes(detectors, kind, left, right, expected):
    found = detectors[kind].detect(make_image(left, right))

    assert len(found) == 2
    for index, box in zip(found.class_indices, found.boxes_xyxy_px, strict=True):
        assert box == pytest.approx(expected[int(index)], abs=0.5)
    assert found.scores == pytest.approx([1.0, 1.0], abs=0.02)


def test_tflite_rows_beyond_the_count_are_left_out(detectors):
    found = detectors["int8"].detect(make_image("black", "green"))

    assert found.class_indices.tolist() == [1]


def test_detect_does_not_change_its_image(detectors):
    image = make_image("red", "green")
    before = image.copy()

    detectors["int8"].detect(image)

    assert (image == before).all()


@pytest.mark.parametrize("num_classes", [1, 2, 5])
def test_number_of_classes_is_the_operators(tmp_path, num_classes):
    path = tmp_path / "model.tflite"
    path.write_bytes(build_tflite(num_classes=num_classes))

    assert TfliteDetector(path).num_classes == num_classes


def test_operator_outputs_are_found_in_whatever_order_the_model_lists_them(tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    path = tmp_path / "model.tflite"
    path.write_bytes(build_tflite(old_order=True))
    op = read_postprocess_op(path)
    listed = [details["index"] for details in Interpreter(str(path)).get_output_details()]

    assert listed == [op.scores_index, op.boxes_index, op.count_index, op.classes_index]
    assert len(set(listed)) == 4


def test_model_that_xnnpack_refuses_runs_without_it(tmp_path, caplog):
    path = tmp_path / "model.tflite"
    path.write_bytes(add_unstable_convolution(build_tflite()))

    detector = TfliteDetector(path)
    found = detector.detect(make_image("red", "green"))

    assert not detector.uses_xnnpack
    assert "XNNPACK cannot run it" in caplog.text
    assert len(found) == 2


def test_model_that_xnnpack_runs_uses_it(detectors):
    assert detectors["int8"].uses_xnnpack


def test_file_that_is_no_tflite_model(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"not a model at all")

    with pytest.raises(BundleError, match="not a TFLite model"):
        TfliteDetector(path)


def test_tflite_without_postprocessing(tmp_path):
    import tensorflow as tf

    function = tf.function(lambda x: x * 2.0, input_signature=[tf.TensorSpec([1, 4, 4, 3])])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    path = tmp_path / "model.tflite"
    path.write_bytes(converter.convert())

    with pytest.raises(BundleError, match="no TFLite_Detection_PostProcess"):
        TfliteDetector(path)


def test_folder_that_is_no_saved_model(tmp_path):
    with pytest.raises(BundleError, match="not a SavedModel with a signature serving_default"):
        SavedModelDetector(tmp_path)


def test_resize_is_the_od_apis_fixed_shape_resizer():
    from reefline.od_api import compat

    compat.apply()
    import tensorflow as tf
    from google.protobuf import text_format
    from object_detection.builders import image_resizer_builder
    from object_detection.protos import image_resizer_pb2

    config = text_format.Parse("fixed_shape_resizer { height: 7 width: 9 }", image_resizer_pb2.ImageResizer())
    image = np.random.default_rng(0).integers(0, 256, (31, 44, 3), dtype=np.uint8)
    theirs = image_resizer_builder.build(config)(tf.constant(image, tf.float32))[0].numpy()

    ours = resize_like_training(image, 7, 9)

    assert ours.dtype == np.uint8
    assert ours == pytest.approx(theirs, abs=0.5001)


@pytest.mark.parametrize(
    ("size_px", "new_size_px"),
    [
        pytest.param((480, 640), (320, 320), id="smaller"),
        pytest.param((31, 44), (97, 101), id="larger"),
        pytest.param((96, 96), (96, 96), id="same"),
        pytest.param((333, 1), (10, 7), id="one-pixel-wide"),
        pytest.param((599, 801), (192, 192), id="odd"),
    ],
)
def test_resize_gives_tensorflows_very_pixels(size_px, new_size_px):
    import tensorflow as tf

    image = np.random.default_rng(1).integers(0, 256, (*size_px, 3), dtype=np.uint8)
    theirs = tf.compat.v1.image.resize(tf.constant(image, tf.float32), new_size_px).numpy()

    assert (resize_like_training(image, *new_size_px) == np.clip(np.rint(theirs), 0, 255)).all()


def test_latency_is_that_of_the_model(detectors):
    detectors["int8"].warm_up()
    timed = detectors["int8"].detect_timed(make_image("red", "green"))

    assert 0 < timed.latency_ms < 1000
    assert (
        timed.detections.class_indices.tolist()
        == detectors["int8"].detect(make_image("red", "green")).class_indices.tolist()
    )


@pytest.mark.parametrize("position", range(20, 60, 4))
def test_a_model_damaged_near_its_head_is_named(tmp_path, position):
    content = bytearray(build_tflite())
    content[position : position + 4] = b"\xff\xff\xff\x7f"
    (tmp_path / "model.tflite").write_bytes(content)
    try:
        read_postprocess_op(tmp_path / "model.tflite")
    except BundleError as error:
        assert "model.tflite: " in str(error)
