"""Reading the TFLite_Detection_PostProcess operator of a TFLite detector.

The operator has four outputs in a fixed order (tensorflow/lite/kernels/detection_postprocess.cc): boxes, classes,
scores, count. Bundles list them in this order (output_order.py), older ones and other models in any order, and their
names mean nothing, so they are found through the operator.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reefline.errors import BundleError
from reefline.tflite.graph import POSTPROCESS_CODE
from reefline.tflite.reader import naming_damage, open_model, parse_model


@dataclass(frozen=True)
class PostprocessOp:
    """The tensor indices of a detector's results, its number of classes, and how many detections it returns at most.

    `model_outputs` are the tensor indices in the order of the model's own outputs.
    """

    boxes_index: int
    classes_index: int
    scores_index: int
    count_index: int
    num_classes: int
    max_detections: int
    model_outputs: tuple[int, ...]


def read_postprocess_op(path: Path) -> PostprocessOp:
    """Return the post-processing operator of the model's first subgraph.

    Raises:
        BundleError: the file is not a TFLite model, is damaged or has no such operator.
    """
    with naming_damage(path):
        return _read_operator(open_model(path), path)


def parse_postprocess_op(content: bytes, path: Path) -> PostprocessOp:
    """Return the post-processing operator of a model in memory; `path` is for messages.

    Raises:
        BundleError: the model is damaged or has no such operator.
    """
    with naming_damage(path):
        return _read_operator(parse_model(content, path), path)


def _read_operator(model: Any, path: Path) -> PostprocessOp:
    from flatbuffers import flexbuffers

    operator = find_postprocess_op(model)
    if operator is None or operator.OutputsLength() != 4:
        raise BundleError(f"{path}: no {POSTPROCESS_CODE} with four outputs found; export the model again")
    options = flexbuffers.Loads(bytearray(operator.CustomOptionsAsNumpy().tobytes()))
    boxes, classes, scores, count = (int(operator.Outputs(position)) for position in range(4))
    graph = model.Subgraphs(0)
    return PostprocessOp(
        boxes_index=boxes,
        classes_index=classes,
        scores_index=scores,
        count_index=count,
        num_classes=int(options["num_classes"]),
        max_detections=int(options["max_detections"]),
        model_outputs=tuple(int(graph.Outputs(position)) for position in range(graph.OutputsLength())),
    )


def find_postprocess_op(model: Any) -> Any:
    """Return the post-processing Operator of a flatbuffer's Model, None if its first subgraph has none."""
    graph = model.Subgraphs(0)
    for position in range(graph.OperatorsLength()):
        operator = graph.Operators(position)
        custom_code = model.OperatorCodes(operator.OpcodeIndex()).CustomCode()
        if custom_code is not None and custom_code.decode() == POSTPROCESS_CODE:
            return operator
    return None
