from __future__ import annotations

import re
from pathlib import Path

import pytest

from reefline.edgetpu.analysis import analyze_model
from reefline.edgetpu.placement_report import Placement
from tests.factories_tflite import OpSpec, TensorSpec, bias, make_options, parameter, weights, write_model

IN = TensorSpec("in")
OUT = TensorSpec("out")
FLAT_IN, FLAT_OUT = TensorSpec("in", (1, 16)), TensorSpec("out", (1, 4))


def place(tmp_path: Path, op: OpSpec, *tensors: TensorSpec) -> tuple[Placement, str]:
    """Place `op` behind one that maps for sure, so that the model counts as quantized whatever `op` is."""
    sure = (TensorSpec("sure_in"), TensorSpec("sure_out"))
    model = write_model(
        tmp_path / "model.tflite",
        [*sure, *tensors],
        [OpSpec("RELU6", ("sure_in",), ("sure_out",)), op],
        ["sure_in", *(name for name in op.inputs if name.startswith("in"))],
        list(op.outputs),
    )
    placed = analyze_model(model).ops[1]
    return placed.placement, placed.reason


MAPPED = [
    pytest.param(OpSpec("ADD", ("in", "in"), ("out",)), (IN, OUT), id="add"),
    pytest.param(OpSpec("QUANTIZE", ("in",), ("out",)), (TensorSpec("in", type="UINT8"), OUT), id="quantize_uint8"),
    pytest.param(
        OpSpec("CONV_2D", ("in", "w", "b"), ("out",), 3), (IN, weights("w"), bias("b"), OUT), id="conv_rank_4_weights"
    ),
    pytest.param(
        OpSpec("CONV_2D", ("in", "w"), ("out",), 1, make_options("Conv2DOptions", dilationHFactor=2)),
        (IN, weights("w", (4, 3, 1, 4)), OUT),
        id="uneven_dilation_of_a_3_by_1_kernel",
    ),
    pytest.param(
        OpSpec("FULLY_CONNECTED", ("in", "w"), ("out",), 4),
        (FLAT_IN, TensorSpec("w", (4, 16), scales=(1.0, 2.0, 3.0, 4.0), data=bytes(64)), FLAT_OUT),
        id="dense_per_channel",
    ),
    pytest.param(
        OpSpec("TILE", ("in", "times"), ("out",)),
        (TensorSpec("in", (1, 1, 1, 4)), parameter("times", 1, 8, 8, 1), OUT),
        id="tile_of_pixel",
    ),
    pytest.param(OpSpec("CONV_2D", ("in", "w", ""), ("out",), 3), (IN, weights("w"), OUT), id="conv_without_bias"),
    pytest.param(
        OpSpec("CONCATENATION", ("in", "zeros"), ("out",)),
        (IN, TensorSpec("zeros", (1, 8, 8, 1), data=bytes(64)), OUT),
        id="concatenated_zeros",
    ),
    pytest.param(
        OpSpec("FULLY_CONNECTED", ("in", "w", "b"), ("out",), 4),
        (FLAT_IN, weights("w", (4, 16)), bias("b"), FLAT_OUT),
        id="dense_version_4",
    ),
    pytest.param(
        OpSpec("SOFTMAX", ("in",), ("out",)),
        (TensorSpec("in", (1, 16_384)), TensorSpec("out", (1, 16_384))),
        id="softmax_of_16384",
    ),
    pytest.param(
        OpSpec("MEAN", ("in", "axes"), ("out",)),
        (IN, parameter("axes", 1, 2), TensorSpec("out", (1, 4))),
        id="mean_over_x_and_y",
    ),
    pytest.param(
        OpSpec("MEAN", ("in", "axes"), ("out",)),
        (IN, parameter("axes", -1), TensorSpec("out", (1, 8, 8))),
        id="mean_over_depth_4",
    ),
    pytest.param(
        OpSpec("PAD", ("in", "p"), ("out",)), (IN, parameter("p", 0, 0, 1, 1, 1, 1, 0, 0), OUT), id="pad_x_and_y"
    ),
    pytest.param(OpSpec("SPLIT", ("axis", "in"), ("out",)), (parameter("axis", 0), IN, OUT), id="split_into_one_part"),
    pytest.param(
        OpSpec("RESIZE_NEAREST_NEIGHBOR", ("in", "size"), ("out",), 3),
        (IN, parameter("size", 16, 16), TensorSpec("out", (1, 16, 16, 4))),
        id="resize_to_double",
    ),
    pytest.param(
        OpSpec("STRIDED_SLICE", ("in", "b", "e", "s"), ("out",), options=make_options("StridedSliceOptions")),
        (IN, parameter("b", 0, 0, 0, 0), parameter("e", 1, 8, 8, 2), parameter("s", 1, 1, 1, 1), OUT),
        id="strided_slice_by_1",
    ),
    pytest.param(
        OpSpec("PRELU", ("in", "alpha"), ("out",)),
        (IN, TensorSpec("alpha", (1, 1, 4), data=bytes(4)), OUT),
        id="prelu_per_channel",
    ),
    pytest.param(
        OpSpec("UNIDIRECTIONAL_SEQUENCE_LSTM", ("in", "w", "state"), ("out",)),
        (IN, weights("w"), TensorSpec("state", (1, 4), "INT16", is_variable=True), OUT),
        id="lstm_state_int16",
    ),
]

LEFT_OUT = [
    pytest.param(OpSpec("HARD_SWISH", ("in",), ("out",)), (IN, OUT), "does not support", id="unlisted"),
    pytest.param(OpSpec("ADD", (), ("out",)), (OUT,), "missing", id="no_operands"),
    pytest.param(
        OpSpec("QUANTIZE", ("in",), ("out",)), (TensorSpec("in", type="FLOAT32", scales=()), OUT), "float32", id="float"
    ),
    pytest.param(OpSpec("RELU", ("in",), ("out",)), (TensorSpec("in", scales=()), OUT), "no scale", id="no_scale"),
    pytest.param(
        OpSpec("RELU", ("in",), ("out",)), (TensorSpec("in", (1, 0, 8, 4)), OUT), "no fixed size", id="no_size"
    ),
    pytest.param(
        OpSpec("CONV_2D", ("in", "w", "b"), ("out",)),
        (IN, TensorSpec("w", (4, 1, 1, 4), "FLOAT32", (), bytes(64)), bias("b"), OUT),
        "weights are not quantized",
        id="float_weights",
    ),
    pytest.param(
        OpSpec("CONV_2D", ("in", "w", "b"), ("out",)),
        (IN, weights("w"), bias("b", "INT64"), OUT),
        "bias is int64",
        id="int64_bias",
    ),
    pytest.param(
        OpSpec("CONV_2D", ("in", "in_w", "b"), ("out",)),
        (IN, TensorSpec("in_w", (4, 1, 1, 4)), bias("b"), OUT),
        "computed",
        id="computed_weights",
    ),
    pytest.param(
        OpSpec("RELU", ("in",), ("out",)), (TensorSpec("in", (2, 8, 8, 4)), OUT), "unsupported rank", id="batch_of_2"
    ),
    pytest.param(
        OpSpec("PACK", ("in", "in"), ("out",), 2, make_options("PackOptions", axis=3)),
        (IN, TensorSpec("out", (1, 8, 8, 2, 4))),
        "unsupported rank",
        id="pack_to_rank_5",
    ),
    pytest.param(
        OpSpec("MAX_POOL_2D", ("in",), ("out",), 1, make_options("Pool2DOptions", fusedActivationFunction=3)),
        (IN, OUT),
        "fused activation",
        id="pool_with_activation",
    ),
    pytest.param(
        OpSpec("CONCATENATION", ("in", "in", "zeros"), ("out",)),
        (IN, TensorSpec("zeros", (1, 8, 8, 1), data=bytes(64)), OUT),
        "among 3 inputs",
        id="constant_among_three",
    ),
    pytest.param(
        OpSpec("CONCATENATION", ("in", "ones"), ("out",)),
        (IN, TensorSpec("ones", (1, 8, 8, 1), data=b"\1" * 64), OUT),
        "not all zeros",
        id="concatenated_ones",
    ),
    pytest.param(
        OpSpec("CONV_2D", ("in", "w"), ("out",), 1, make_options("Conv2DOptions", dilationWFactor=2)),
        (IN, weights("w", (4, 3, 3, 4)), OUT),
        "dilation is 2 in x and 1 in y",
        id="uneven_dilation",
    ),
    pytest.param(OpSpec("ADD", ("in", "in"), ("out",), 4), (IN, OUT), "version 4 stays on the CPU", id="add_version_4"),
    pytest.param(
        OpSpec("FULLY_CONNECTED", ("in", "w"), ("out",), 1, make_options("FullyConnectedOptions", weightsFormat=1)),
        (FLAT_IN, weights("w", (4, 16)), FLAT_OUT),
        "shuffled",
        id="shuffled_weights",
    ),
    pytest.param(
        OpSpec("FULLY_CONNECTED", ("in", "w"), ("out",)),
        (FLAT_IN, weights("w", (4, 16)), TensorSpec("out", (2, 4))),
        "more than one dimension",
        id="dense_of_two_rows",
    ),
    pytest.param(
        OpSpec("FULLY_CONNECTED", ("in", "w"), ("out",), 5),
        (FLAT_IN, weights("w", (4, 16)), FLAT_OUT),
        "version 5 is not supported",
        id="dense_version_5",
    ),
    pytest.param(
        OpSpec("FULLY_CONNECTED", ("in", "w"), ("out",), 9),
        (FLAT_IN, weights("w", (4, 16)), FLAT_OUT),
        "version 9 is not supported",
        id="dense_version_9",
    ),
    pytest.param(
        OpSpec("SOFTMAX", ("in",), ("out",)),
        (TensorSpec("in", (1, 16_385)), TensorSpec("out", (1, 16_385))),
        "maximum is 16384",
        id="softmax_of_16385",
    ),
    pytest.param(
        OpSpec("SOFTMAX", ("in",), ("out",)),
        (TensorSpec("in", (1, 3_025, 16)), TensorSpec("out", (1, 3_025, 16))),
        "more than one dimension",
        id="softmax_over_many_rows",
    ),
    pytest.param(
        OpSpec("MEAN", ("in", "axes"), ("out",)), (IN, parameter("axes", 0), OUT), "batch dimension", id="mean_of_batch"
    ),
    pytest.param(
        OpSpec("REDUCE_MAX", ("in", "axes"), ("out",)),
        (IN, parameter("axes", -4), OUT),
        "reduces the batch",
        id="reduce_batch_from_behind",
    ),
    pytest.param(
        OpSpec("MEAN", ("in", "axes"), ("out",)),
        (TensorSpec("in", (1, 8, 8, 3)), parameter("axes", 3), OUT),
        "depth of 3",
        id="mean_over_depth_3",
    ),
    pytest.param(
        OpSpec("PAD", ("in", "p"), ("out",)),
        (IN, parameter("p", 0, 1, 0, 0, 0, 0, 0, 0), OUT),
        "pads the batch",
        id="pad_batch",
    ),
    pytest.param(
        OpSpec("PACK", ("in", "in"), ("out",), 2, make_options("PackOptions", axis=0)),
        (TensorSpec("in", (4,)), TensorSpec("out", (2, 4))),
        "packs along the batch",
        id="pack_batch",
    ),
    pytest.param(
        OpSpec("SPLIT", ("axis", "in"), ("out", "out_2")),
        (parameter("axis", 0), TensorSpec("in", (2, 4)), OUT, TensorSpec("out_2")),
        "splits the batch",
        id="split_batch",
    ),
    pytest.param(
        OpSpec("PRELU", ("in", "alpha"), ("out",)),
        (IN, TensorSpec("alpha", (8, 8, 4), data=bytes(256)), OUT),
        "shared_axes",
        id="prelu_per_pixel",
    ),
    pytest.param(
        OpSpec("STRIDED_SLICE", ("in", "b", "e", "s"), ("out",)),
        (IN, parameter("b", 0, 0, 0, 0), parameter("e", 1, 8, 8, 2), parameter("s", 1, 3, 3, 1), OUT),
        "strides of 1",
        id="strided_slice_by_3",
    ),
    pytest.param(
        OpSpec("STRIDED_SLICE", ("in", "b", "e", "s"), ("out",), 1, make_options("StridedSliceOptions", newAxisMask=1)),
        (IN, parameter("b", 0), parameter("e", 1), parameter("s", 1), OUT),
        "new axis",
        id="strided_slice_new_axis",
    ),
    pytest.param(
        OpSpec("TILE", ("in", "times"), ("out",)),
        (IN, parameter("times", 1, 2, 2, 1), TensorSpec("out", (1, 16, 16, 4))),
        "does not support",
        id="tile_of_image",
    ),
    pytest.param(
        OpSpec("PACK", ("in", "in"), ("out",), 2, make_options("PackOptions", axis=2)),
        (TensorSpec("in", (1, 1, 8, 4)), TensorSpec("out", (1, 1, 2, 8, 4))),
        "packs to 5 dimensions",
        id="pack_of_a_row_to_rank_5",
    ),
    pytest.param(
        OpSpec("RESIZE_BILINEAR", ("in", "size"), ("out",)),
        (TensorSpec("in", (1, 1, 1, 4)), parameter("size", 2, 2), TensorSpec("out", (1, 2, 2, 4))),
        "from 1x1",
        id="bilinear_from_a_pixel",
    ),
]

IN_DOUBT = [
    pytest.param(
        OpSpec("RESIZE_BILINEAR", ("in", "size"), ("out",)),
        (IN, parameter("size", 65, 65), TensorSpec("out", (1, 65, 65, 4))),
        "its largest tensor has 16,900 bytes; .* never seen mapped",
        id="resize_by_much",
    ),
    pytest.param(
        OpSpec("RELU", ("in",), ("out",)),
        (TensorSpec("in", (1, 1, 1, 8, 4)), TensorSpec("out", (1, 1, 1, 8, 4))),
        "more than 4 dimensions were never seen",
        id="rank_5",
    ),
    pytest.param(OpSpec("SOFTMAX", ("in",), ("out",)), (IN, OUT), "more than one dimension", id="softmax_over_rows"),
    pytest.param(
        OpSpec("STRIDED_SLICE", ("in", "b", "e", "s"), ("out",)),
        (IN, parameter("b", 0, 0, 0, 0), parameter("e", 1, 8, 8, 4), parameter("s", 1, 2, 2, 1), OUT),
        "strides of 2",
        id="strided_slice_by_2",
    ),
    *(
        pytest.param(
            OpSpec("FULLY_CONNECTED", ("in", "w"), ("out",), version),
            (FLAT_IN, weights("w", (4, 16)), FLAT_OUT),
            f"version {version} was never seen mapped, 4 maps",
            id=f"dense_version_{version}",
        )
        for version in (6, 7, 8)
    ),
    pytest.param(OpSpec("MUL", ("in", "in"), ("out",), 5), (IN, OUT), "TF 2.6", id="version_of_2_6"),
]


@pytest.mark.parametrize(("op", "tensors"), MAPPED)
def test_an_operator_within_the_limits_maps(tmp_path: Path, op: OpSpec, tensors: tuple[TensorSpec, ...]) -> None:
    placement, reason = place(tmp_path, op, *tensors)
    assert placement is Placement.EDGETPU, reason


@pytest.mark.parametrize(("op", "tensors", "expected"), LEFT_OUT)
def test_an_operator_that_breaks_a_limit_stays_on_the_cpu(
    tmp_path: Path, op: OpSpec, tensors: tuple[TensorSpec, ...], expected: str
) -> None:
    placement, reason = place(tmp_path, op, *tensors)
    assert placement is Placement.CPU
    assert expected in reason


@pytest.mark.parametrize(("op", "tensors", "expected"), IN_DOUBT)
def test_a_doubt_is_named(tmp_path: Path, op: OpSpec, tensors: tuple[TensorSpec, ...], expected: str) -> None:
    placement, reason = place(tmp_path, op, *tensors)
    assert placement is Placement.UNCERTAIN
    assert re.search(expected, reason)
