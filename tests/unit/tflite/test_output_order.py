from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from reefline.tflite.output_order import order_outputs
from reefline.tflite.reader import read_graph
from tests.factories_evaluation import LEFT_YXYX, RIGHT_YXYX, build_tflite, make_image
from tests.factories_tflite import OpSpec, TensorSpec, build_model, weights

RESULTS = ("boxes", "classes", "scores", "count")
TENSORS = [*(TensorSpec(name) for name in ("image", "encodings", "predictions", *RESULTS)), weights("anchors")]
SPLIT = OpSpec("SPLIT", ("image",), ("encodings", "predictions"))
POSTPROCESS = OpSpec("TFLite_Detection_PostProcess", ("encodings", "predictions", "anchors"), RESULTS)


def build_detector(outputs: tuple[str, ...], postprocess: OpSpec = POSTPROCESS) -> bytes:
    return build_model(TENSORS, [SPLIT, postprocess], ["image"], outputs)


@pytest.mark.parametrize(
    "outputs",
    [
        pytest.param(("scores", "boxes", "count", "classes"), id="as-converted"),
        pytest.param(("count", "scores", "classes", "boxes"), id="reversed"),
        pytest.param(RESULTS, id="already-ordered"),
    ],
)
def test_outputs_come_in_the_operators_order(outputs: tuple[str, ...], tmp_path: Path) -> None:
    before, after = tmp_path / "before.tflite", tmp_path / "after.tflite"
    before.write_bytes(build_detector(outputs))
    after.write_bytes(order_outputs(before.read_bytes()))
    graph = read_graph(after)
    assert tuple(graph.tensors[index].name for index in graph.outputs) == RESULTS
    assert replace(graph, outputs=()) == replace(read_graph(before), outputs=())


def test_ordering_again_changes_nothing() -> None:
    ordered = order_outputs(build_detector(("scores", "boxes", "count", "classes")))
    assert order_outputs(ordered) == ordered == order_outputs(build_detector(RESULTS))


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(build_model(TENSORS, [SPLIT], ["image"], ["predictions", "encodings"]), id="no-detector"),
        pytest.param(build_detector(("scores", "boxes", "count", "classes", "image")), id="another-output"),
        pytest.param(build_detector(("scores", "boxes", "count", "scores")), id="one-output-twice"),
        pytest.param(build_detector(("boxes",), replace(POSTPROCESS, outputs=("count", "boxes"))), id="one-of-two"),
    ],
)
def test_other_models_stay_as_they_are(model: bytes) -> None:
    assert order_outputs(model) == model


@pytest.mark.parametrize("quantized", [pytest.param(True, id="int8"), pytest.param(False, id="float")])
def test_outputs_by_position_and_by_signature_are_the_same_detections(quantized: bool) -> None:
    converted = build_tflite(quantized=quantized, old_order=True)
    model = order_outputs(converted)
    assert model != converted

    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    (image,) = interpreter.get_input_details()
    pixels = make_image("red", "green", 8, 16)[np.newaxis].astype(image["dtype"])
    interpreter.set_tensor(image["index"], pixels)
    interpreter.invoke()
    boxes, classes, scores, count = (
        interpreter.get_tensor(details["index"])[0] for details in interpreter.get_output_details()
    )

    assert (boxes.shape, classes.shape, scores.shape, count) == ((4, 4), (4,), (4,), 2.0)
    found = {int(index): box for index, box in zip(classes[:2], boxes[:2], strict=True)}
    assert found[0] == pytest.approx(LEFT_YXYX, abs=0.02)
    assert found[1] == pytest.approx(RIGHT_YXYX, abs=0.02)
    assert scores[:2] == pytest.approx(1.0, abs=0.02)
    # pycoral reads a signature with these names and in this order (pycoral/adapters/detect.py, get_objects).
    named = interpreter.get_signature_runner()(input=pixels)
    for name, expected in zip(
        ("output_0", "output_1", "output_2", "output_3"), (count, scores, classes, boxes), strict=True
    ):
        np.testing.assert_array_equal(named[name][0], expected)
