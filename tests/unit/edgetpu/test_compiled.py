from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reefline.cli import app
from reefline.edgetpu.analysis import analyze_model
from reefline.edgetpu.compiled import ExecutableKind, belongs_together, describe_compiled
from reefline.errors import BundleError
from reefline.tflite.reader import read_graph
from tests.factories_tflite import (
    CONV_PARAMETERS,
    EDGE_TPU,
    OpSpec,
    TensorSpec,
    build_package,
    conv,
    parameter,
    write_model,
)

A, B, C = TensorSpec("a", type="UINT8"), TensorSpec("b"), TensorSpec("c", (1, 8, 8), "INT32", ())
AXIS = parameter("axis", 3)
ARG_MAX = OpSpec("ARG_MAX", ("b", "axis"), ("c",), 2)
PACKAGE = build_package([(2, 0), (1, 640)])


def write_int8(tmp_path: Path) -> Path:
    tensors = [A, B, TensorSpec("q"), C, AXIS, *CONV_PARAMETERS]
    ops = [OpSpec("QUANTIZE", ("a",), ("q",)), conv("q", "b"), ARG_MAX]
    return write_model(tmp_path / "m.tflite", tensors, ops, ["a"], ["c"])


def write_compiled(
    tmp_path: Path, *changed: TensorSpec, outside: OpSpec = ARG_MAX, package: bytes = PACKAGE, output: str = "c"
) -> Path:
    tensors = {tensor.name: tensor for tensor in (A, B, C, AXIS, *changed)}
    ops = [OpSpec(EDGE_TPU, ("a",), ("b",), custom_options=package), replace(outside, version=1)]
    return write_model(tmp_path / "m_edgetpu.tflite", list(tensors.values()), ops, ["a"], [output])


def test_a_compiled_file_is_described(tmp_path: Path) -> None:
    path = write_compiled(tmp_path, package=build_package([(2, 12), (1, 640), (0, 100)], 13))
    compiled = describe_compiled(path, read_graph(path))
    assert compiled is not None
    assert [executable.kind for executable in compiled.executables] == [
        ExecutableKind.EXECUTION_ONLY,
        ExecutableKind.PARAMETER_CACHING,
        ExecutableKind.STAND_ALONE,
    ]
    assert (compiled.cached_parameter_bytes, compiled.streamed_parameter_bytes) == (640, 112)
    assert (compiled.min_runtime_version, compiled.compiler_build) == (13, "123")
    assert (compiled.edgetpu_ops, compiled.ops_outside) == (1, ("ARG_MAX",))


def test_the_analysis_of_a_compiled_file_is_fact(tmp_path: Path) -> None:
    analysis = analyze_model(write_compiled(tmp_path))
    assert [op.placement for op in analysis.ops] == ["edgetpu", "cpu"]
    assert analysis.conforms
    assert analysis.parameter_bytes == 640
    assert analysis.to_json()["compiled"]["cached_parameter_bytes"] == 640
    text = analysis.to_text()
    assert "needs runtime 14 or later" in text
    assert "640 bytes cached on the chip, 0 bytes streamed" in text
    assert "op 1 ARG_MAX v1: cpu: left on the CPU by the compiler" in text


def test_the_int8_file_next_to_it_is_named(tmp_path: Path) -> None:
    int8_file, compiled_file = write_int8(tmp_path), write_compiled(tmp_path)
    analysis = analyze_model(compiled_file)
    assert analysis.problems == ()
    assert analysis.to_json()["compiled"]["belongs_to"] == str(int8_file)
    assert f"made from {int8_file}" in analysis.to_text()


def test_another_int8_file_next_to_it_is_a_problem_and_no_failure(tmp_path: Path) -> None:
    write_int8(tmp_path)
    run = CliRunner().invoke(app, ["analyze", str(write_compiled(tmp_path, replace(B, scales=(0.75,)))), "--json"])
    assert run.exit_code == 0
    record = json.loads(run.stdout)
    assert record["compiled"]["belongs_to"] is None
    (problem,) = record["problems"]
    assert "tensors 'b' int8[1, 8, 8, 4] scale 0.75" in problem and f"not in {tmp_path / 'm.tflite'}" in problem


def test_the_text_shows_a_mismatch(tmp_path: Path) -> None:
    write_int8(tmp_path)
    text = analyze_model(write_compiled(tmp_path, replace(B, scales=(0.75,)))).to_text()
    assert "m_edgetpu.tflite: does not match the int8 file next to it" in text
    assert "Problems:" in text


def test_a_damaged_file_next_to_it_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(b"no model")
    analysis = analyze_model(write_compiled(tmp_path))
    assert analysis.compiled is not None and analysis.compiled.belongs_to is None
    assert "m.tflite: not a TFLite model" in analysis.problems[0]


@pytest.mark.parametrize("name", [pytest.param("m_edgetpu.tflite", id="alone"), pytest.param("n.tflite", id="renamed")])
def test_without_an_int8_file_nothing_is_compared(tmp_path: Path, name: str) -> None:
    if name != "m_edgetpu.tflite":
        write_int8(tmp_path)
    analysis = analyze_model(write_compiled(tmp_path).rename(tmp_path / name))
    assert analysis.compiled is not None
    assert (analysis.compiled.belongs_to, analysis.problems) == (None, ())
    assert "next to" not in analysis.to_text() and "made from" not in analysis.to_text()


@pytest.mark.parametrize(
    "package",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x00\x01\x02", id="no_flexbuffer"),
        pytest.param(PACKAGE[: len(PACKAGE) // 2], id="half"),
        pytest.param(PACKAGE.replace(b"DWN1", b"XXN1"), id="other_package"),
        pytest.param(build_package([(7, 0)]), id="unknown_kind"),
    ],
)
def test_a_damaged_package_is_named(tmp_path: Path, package: bytes) -> None:
    with pytest.raises(BundleError, match=r"damaged Edge TPU package.*compile the model again"):
        analyze_model(write_compiled(tmp_path, package=package))


def test_an_int8_file_has_no_compiled_part(tmp_path: Path) -> None:
    path = write_int8(tmp_path)
    assert describe_compiled(path, read_graph(path)) is None


def test_a_compiled_file_belongs_to_its_int8_file(tmp_path: Path) -> None:
    assert belongs_together(write_int8(tmp_path), write_compiled(tmp_path)) == []


STRANGERS = [
    pytest.param((replace(A, name="image"), A), {}, "", id="unused_tensor"),
    pytest.param((replace(A, scales=(0.25,)),), {}, "inputs 'a' uint8", id="input_quantization"),
    pytest.param((replace(A, shape=(1, 9, 9, 4)),), {}, "inputs 'a'", id="input_shape"),
    pytest.param((replace(C, type="INT64"),), {}, "outputs 'c' int64", id="output_type"),
    pytest.param((replace(B, scales=(0.75,)),), {}, "tensors 'b'", id="trained_again"),
    pytest.param((parameter("axis", 2),), {}, "tensors 'axis'", id="constant"),
    pytest.param((), {"outside": replace(ARG_MAX, name="ARG_MIN")}, "op 1 (ARG_MIN) runs on the CPU", id="other_op"),
    pytest.param((), {"output": "b"}, "outputs 'b'", id="other_output"),
]


@pytest.mark.parametrize(("changed", "named", "expected"), STRANGERS)
def test_another_models_compiled_file_is_recognized(
    tmp_path: Path, changed: tuple[TensorSpec, ...], named: dict[str, object], expected: str
) -> None:
    problems = belongs_together(write_int8(tmp_path), write_compiled(tmp_path, *changed, **named))  # type: ignore[arg-type]
    assert bool(problems) is bool(expected)
    assert expected in "\n".join(problems)


def test_an_int8_file_is_no_compiled_one(tmp_path: Path) -> None:
    int8_file = write_int8(tmp_path)
    assert "mapped nothing" in belongs_together(int8_file, int8_file)[0]
