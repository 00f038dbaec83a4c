from __future__ import annotations

from pathlib import Path

import pytest

from reefline.edgetpu.analysis import ModelAnalysis, analyze_model
from reefline.edgetpu.op_versions import VersionStanding, judge_version
from tests.factories_tflite import CONV_PARAMETERS, OpSpec, TensorSpec, conv, write_model

IMAGE = TensorSpec("a")


def analyze(tmp_path: Path, *ops: OpSpec, tensors: tuple[TensorSpec, ...] = (), subgraphs: int = 1) -> ModelAnalysis:
    """Analyze a convolution from a to b with `ops` behind it."""
    everything = [IMAGE, TensorSpec("b"), TensorSpec("c"), *CONV_PARAMETERS, *tensors]
    ops = (conv("a", "b"), *ops)
    path = write_model(tmp_path / "m.tflite", everything, ops, ["a"], list(ops[-1].outputs), subgraphs=subgraphs)
    return analyze_model(path)


def test_a_plain_model_conforms(tmp_path: Path) -> None:
    analysis = analyze(tmp_path, OpSpec("RELU", ("b",), ("c",)))
    assert analysis.conforms
    assert analysis.problems == ()
    assert (analysis.summary.total, analysis.summary.edgetpu) == (2, 2)
    # 16 weights and 4 biases of 4 bytes; each buffer counts once.
    assert analysis.parameter_bytes == 32
    assert analysis.fits_on_chip


REFUSED = [
    pytest.param(OpSpec("CONV_2D", ("b", "weights", "bias"), ("c",), 6), (), "known to reject", id="conv_6"),
    pytest.param(OpSpec("EXP", ("b",), ("c",), 2), (), "known to reject", id="exp_2"),
    pytest.param(OpSpec("QUANTIZE", ("b",), ("c",), 3), (), "known to reject", id="quantize_3"),
    pytest.param(OpSpec("ARG_MAX", ("b",), ("c",), 3), (), "TF 2.9", id="arg_max_3_of_2_9"),
    pytest.param(OpSpec("MUL", ("b", "b"), ("c",), 9), (), "newer than TF 2.11", id="mul_9"),
    pytest.param(OpSpec("GELU", ("b",), ("c",)), (), "builtin code 150", id="gelu"),
    pytest.param(OpSpec("ADD", ("b",), ("c",), builtin_code=999), (), "builtin code 999", id="unknown_code"),
    pytest.param(OpSpec("FlexErf", ("b",), ("c",)), (), "Flex", id="flex"),
    pytest.param(OpSpec("Atan", ("b",), ("c",)), (), "cannot resolve", id="custom"),
    pytest.param(
        OpSpec("RELU", ("d",), ("c",)), (TensorSpec("d", (-1, 8, 8, 4)),), "dynamic shapes", id="dynamic_shape"
    ),
    pytest.param(OpSpec("WHILE", ("b",), ("c",)), (), "no fixed size", id="control_flow"),
    pytest.param(
        OpSpec("RESHAPE", ("b", "s"), ("c",)),
        (TensorSpec("s", (2,), "INT32", ()),),
        "is computed",
        id="computed_shape",
    ),
]


@pytest.mark.parametrize(("op", "tensors", "expected"), REFUSED)
def test_nothing_maps_of_a_model_that_the_compiler_rejects(
    tmp_path: Path, op: OpSpec, tensors: tuple[TensorSpec, ...], expected: str
) -> None:
    analysis = analyze(tmp_path, op, tensors=tensors)
    assert not analysis.conforms
    assert expected in "\n".join(analysis.problems)
    assert analysis.summary.cpu == analysis.summary.total
    assert "would map, but the compiler rejects" in analysis.ops[0].reason


def test_a_doubtful_version_is_a_problem_but_no_rejection(tmp_path: Path) -> None:
    analysis = analyze(tmp_path, OpSpec("CAST", ("b",), ("c",), 3))
    assert analysis.conforms
    assert "op 1 (CAST): may be rejected: version 3 was added in TF 2.8" in analysis.problems[0]
    assert analysis.ops[0].placement == "edgetpu"


def test_a_shape_signature_alone_is_harmless(tmp_path: Path) -> None:
    signed = TensorSpec("d", signature=(-1, 8, 8, 4))
    analysis = analyze(tmp_path, OpSpec("RELU", ("b",), ("d",)), tensors=(signed,))
    assert analysis.conforms
    assert analysis.summary.edgetpu == 2


def test_the_detection_post_processing_is_known(tmp_path: Path) -> None:
    analysis = analyze(tmp_path, OpSpec("TFLite_Detection_PostProcess", ("b",), ("c",)))
    assert analysis.conforms
    assert [op.placement for op in analysis.ops] == ["edgetpu", "cpu"]
    assert analysis.ops[1].op == "CUSTOM:TFLite_Detection_PostProcess"


def test_several_subgraphs_are_a_problem(tmp_path: Path) -> None:
    analysis = analyze(tmp_path, subgraphs=2)
    assert not analysis.conforms
    assert "2 subgraphs" in analysis.problems[0]


def test_a_float_model_is_not_quantized(tmp_path: Path) -> None:
    tensors = [TensorSpec(name, type="FLOAT32", scales=()) for name in "ab"]
    path = write_model(tmp_path / "m.tflite", tensors, [OpSpec("RELU", ("a",), ("b",))], ["a"], ["b"])
    analysis = analyze_model(path)
    assert not analysis.conforms
    assert "not quantized" in analysis.problems[0]
    assert analysis.parameter_bytes == 0


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        pytest.param("CONV_2D", 5, VersionStanding.KNOWN, id="of_2_4"),
        pytest.param("REDUCE_MAX", 3, VersionStanding.KNOWN, id="of_2_5"),
        pytest.param("MUL", 5, VersionStanding.DOUBTFUL, id="of_2_6"),
        pytest.param("ADD", 4, VersionStanding.KNOWN, id="of_2_6_but_read"),
        pytest.param("TILE", 3, VersionStanding.DOUBTFUL, id="of_2_8"),
        pytest.param("CAST", 4, VersionStanding.REFUSED, id="of_2_9"),
        pytest.param("TRANSPOSE_CONV", 3, VersionStanding.KNOWN, id="one_before_the_rejected"),
        pytest.param("TRANSPOSE_CONV", 4, VersionStanding.REFUSED, id="rejected"),
        pytest.param("GATHER_ND", 3, VersionStanding.KNOWN, id="not_mapped_but_read"),
        pytest.param("ARG_MIN", 3, VersionStanding.REFUSED, id="not_mapped_nor_read"),
        pytest.param("RANGE", 1, VersionStanding.KNOWN, id="unlisted_1"),
        pytest.param("RANGE", 2, VersionStanding.DOUBTFUL, id="unlisted_2"),
    ],
)
def test_versions_are_judged_by_their_release(name: str, version: int, expected: VersionStanding) -> None:
    judgement = judge_version(name, builtin_code=1, version=version)
    assert judgement.standing is expected
    assert bool(judgement.reason) is (expected is not VersionStanding.KNOWN)


@pytest.mark.parametrize(
    ("builtin_code", "expected"),
    [
        pytest.param(139, VersionStanding.KNOWN, id="hashtable_size_of_2_5"),
        pytest.param(140, VersionStanding.DOUBTFUL, id="reduce_all_of_2_6"),
        pytest.param(149, VersionStanding.DOUBTFUL, id="multinomial_of_2_8"),
        pytest.param(150, VersionStanding.REFUSED, id="gelu_of_2_9"),
    ],
)
def test_new_operators_are_judged_by_their_builtin_code(builtin_code: int, expected: VersionStanding) -> None:
    assert judge_version("SOMETHING", builtin_code, version=1).standing is expected
