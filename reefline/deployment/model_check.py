"""Whether a bundle's TFLite file is what a program reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from reefline.deployment.programs import Contract
from reefline.errors import BundleError
from reefline.tflite.postprocess import PostprocessOp, read_postprocess_op
from reefline.tflite.reader import read_graph
from reefline.tflite.signature import read_signature_outputs

_EXPORT_AGAIN = "run the pipeline again with the same config and data to export it again"


@dataclass(frozen=True)
class ModelInput:
    """The size of the image that a model expects, and the most detections that it returns."""

    height_px: int
    width_px: int
    max_detections: int


def check_model(path: Path, contract: Contract, class_count: int) -> ModelInput:
    """Return the input of a TFLite file after comparing the file with what a program expects.

    A file that is compiled for the Edge TPU can be checked without one: its inputs and outputs are those of the file
    that it was compiled from.

    Raises:
        BundleError: the file differs; one problem each.
    """
    graph = read_graph(path)
    operator = read_postprocess_op(path)
    inputs = [graph.tensors[index] for index in graph.inputs]
    shape = inputs[0].shape if inputs else ()
    if len(inputs) != 1 or inputs[0].type != "UINT8" or len(shape) != 4 or (shape[0], shape[3]) != (1, 3):
        found = ", ".join(f"{list(tensor.shape)} of {tensor.type}" for tensor in inputs) or "none"
        raise BundleError(
            f"{path}: input {found} found; {contract.title} needs one image [1, height, width, 3] of UINT8. "
            "Train with edgetpu: required, which exports an int8 model"
        )
    size = ModelInput(shape[1], shape[2], operator.max_detections)
    problems = [f"{path}: {problem}" for problem in _find_problems(size, operator, contract, class_count)]
    if contract.reads_signature:
        problems.extend(f"{path}: {problem}" for problem in _check_signature(path, operator))
    if problems:
        raise BundleError(*problems)
    return size


def _find_problems(size: ModelInput, operator: PostprocessOp, contract: Contract, class_count: int) -> Iterator[str]:
    in_order = (operator.boxes_index, operator.classes_index, operator.scores_index, operator.count_index)
    if operator.model_outputs != in_order:
        yield (
            f"outputs are not in the order boxes, classes, scores, count that {contract.title} reads; {_EXPORT_AGAIN}"
        )
    if operator.num_classes != class_count:
        yield f"{operator.num_classes} classes found, {class_count} lines in labels.txt; push the model again"
    if contract.needs_square_input and size.height_px != size.width_px:
        yield (
            f"input of {size.width_px} x {size.height_px} px found; {contract.title} needs a square one, because it "
            "swaps width and height. Train with a square input"
        )
    if contract.squeezes_outputs and size.max_detections == 1:
        yield f"it returns one detection at most, which {contract.title} cannot read; train with more detections"


def _check_signature(path: Path, operator: PostprocessOp) -> Iterator[str]:
    """Check the names that pycoral reads: output_0 is the count, then scores, classes, boxes."""
    expected: Mapping[str, int] = {
        "output_0": operator.count_index,
        "output_1": operator.scores_index,
        "output_2": operator.classes_index,
        "output_3": operator.boxes_index,
    }
    signatures = read_signature_outputs(path)
    if len(signatures) > 1:
        yield f"{len(signatures)} signatures found, one or none expected; {_EXPORT_AGAIN}"
    elif signatures and dict(signatures[0]) != expected:
        yield (
            "its signature does not name the count output_0, scores output_1, classes output_2 and boxes output_3; "
            f"{_EXPORT_AGAIN}"
        )
