"""The compiler's answer if it gives one, otherwise the prediction: as counts, and operator by operator."""

from __future__ import annotations

from pathlib import Path

import pytest

from reefline.edgetpu.compile_or_predict import compile_or_predict
from reefline.edgetpu.placement_report import PlacementReport
from reefline.edgetpu.record import EdgeTpuRecord, PlacementSource
from reefline.settings import CompilerSettings
from tests.factories_compiler import COMPILED_FILE, STUB, make_compiler
from tests.factories_tflite import (
    CONV_PARAMETERS,
    EDGE_TPU,
    OpSpec,
    TensorSpec,
    build_model,
    build_package,
    conv,
    write_model,
)

SUCCESS = (
    "Edge TPU Compiler version 16.0.384591198\nModel compiled successfully in 17 ms.\n"
    "Number of Edge TPU subgraphs: 1\nTotal number of operations: 5\n"
    "Number of operations that will run on Edge TPU: 2\nNumber of operations that will run on CPU: 3\n"
)
NOTHING_MAPPED = SUCCESS.replace("subgraphs: 1", "subgraphs: 0").replace("TPU: 2", "TPU: 0").replace("CPU: 3", "CPU: 5")
REFUSAL = "Edge TPU Compiler version 16.0.384591198\nInvalid model: m.tflite\nModel not quantized\n"
CRASH = "Edge TPU Compiler version 16.0.384591198\nInternal compiler error. Aborting!\n"

TENSORS = [*map(TensorSpec, "abcdef"), *CONV_PARAMETERS]
# Predicted: two map, HARD_SWISH does not, and what depends on it does not either.
OPS = [
    conv("a", "b"),
    OpSpec("RELU", ("b",), ("c",)),
    OpSpec("HARD_SWISH", ("c",), ("d",)),
    OpSpec("RELU", ("d",), ("e",)),
    OpSpec("LOGISTIC", ("e",), ("f",)),
]


def compile_outside(*outside: OpSpec, output: str) -> bytes:
    """Return a compiled form of the model with `outside` on the CPU."""
    tpu = OpSpec(EDGE_TPU, ("a",), (output,), custom_options=build_package([(2, 0), (1, 5_000)]))
    return build_model(list(map(TensorSpec, "abcdef")), [tpu, *outside], ["a"], ["f"])


@pytest.fixture
def bin_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "bin"


def run(tmp_path: Path) -> tuple[EdgeTpuRecord, PlacementReport]:
    model = write_model(tmp_path / "m.tflite", TENSORS, OPS, ["a"], ["f"])
    return compile_or_predict(model, tmp_path / "m_edgetpu.tflite", CompilerSettings(timeout_s=20))


def count(record: EdgeTpuRecord) -> tuple[int, int, int, int]:
    return record.ops_total, record.ops_on_tpu, record.ops_on_cpu, record.ops_uncertain


def placements(report: PlacementReport) -> list[str]:
    return [op.placement.value for op in report.ops]


def test_without_a_compiler_both_are_predicted(bin_dir: Path, tmp_path: Path) -> None:
    record, report = run(tmp_path)
    assert (record.compiled, record.source, report.source) == (False, *2 * (PlacementSource.PREDICTION,))
    assert count(record) == (5, 2, 3, 0)
    assert record.reason.endswith("; predicted to run on the Edge TPU: 2 of 5 operators")
    assert placements(report) == ["edgetpu", "edgetpu", "cpu", "cpu", "cpu"]
    assert (report.summary.total, report.summary.edgetpu, report.summary.cpu, report.summary.uncertain) == (5, 2, 3, 0)
    assert (report.conforms, report.problems, report.compiler_log) == (True, (), "")
    assert [op.blocked_by for op in report.ops] == [None, None, None, 2, 2]
    assert "depends on op 2 (HARD_SWISH)" in report.ops[4].reason
    report.write(tmp_path / "placement.json")
    assert PlacementReport.read(tmp_path / "placement.json") == report


def test_a_compiler_that_gave_no_answer_leaves_the_prediction(bin_dir: Path, tmp_path: Path) -> None:
    make_compiler(bin_dir, CRASH, exit_code=1, output=STUB)
    record, report = run(tmp_path)
    assert (record.source, record.compiler_version) == (PlacementSource.PREDICTION, "16.0.384591198")
    assert (count(record), report.source) == ((5, 2, 3, 0), PlacementSource.PREDICTION)
    assert report.compiler_log == CRASH


def test_a_compiled_file_decides_where_each_operator_runs(bin_dir: Path, tmp_path: Path) -> None:
    """The compiler maps less than predicted: RELU stays, too, with the reason that only the compiler knows."""
    outside = [OpSpec("RELU", ("b",), ("c",)), *OPS[2:]]
    make_compiler(bin_dir, SUCCESS, output=compile_outside(*outside, output="b"))
    record, report = run(tmp_path)
    assert (record.compiled, record.source, count(record)) == (True, PlacementSource.COMPILER, (5, 2, 3, 0))
    assert record.reason == "2 of 5 operators run on the Edge TPU, according to edgetpu_compiler"
    assert (report.source, report.conforms, report.problems) == (PlacementSource.COMPILER, True, ())
    assert report.compiler_log == SUCCESS
    assert placements(report) == ["edgetpu", "cpu", "cpu", "cpu", "cpu"]
    assert [op.op for op in report.ops] == ["CONV_2D", "RELU", "HARD_SWISH", "RELU", "LOGISTIC"]
    assert report.ops[0].reason == "mapped by the compiler"
    assert report.ops[1].reason == "left on the CPU by the compiler, though within all known limits"
    assert report.ops[2].reason == "the Edge TPU does not support this operator"
    assert (report.summary.edgetpu, report.summary.cpu) == (1, 4)


@pytest.mark.parametrize(
    ("compiled", "problem"),
    [
        pytest.param(COMPILED_FILE, "m_edgetpu.tflite: starts like a TFLite model", id="unreadable"),
        pytest.param(
            compile_outside(OpSpec("LOGISTIC", ("e",), ("a",)), output="e"),
            "m_edgetpu.tflite: its operators do not match",
            id="another-models",
        ),
    ],
)
def test_a_compiled_file_that_does_not_match_leaves_the_prediction(
    compiled: bytes, problem: str, bin_dir: Path, tmp_path: Path
) -> None:
    make_compiler(bin_dir, SUCCESS, output=compiled)
    record, report = run(tmp_path)
    assert (record.compiled, report.source) == (True, PlacementSource.PREDICTION)
    assert placements(report) == ["edgetpu", "edgetpu", "cpu", "cpu", "cpu"]
    assert problem in report.problems[-1]
    assert report.problems[-1].endswith("the placements are predicted")


@pytest.mark.parametrize(
    ("log", "exit_code", "reason"),
    [
        pytest.param(REFUSAL, 1, "the model is not quantized", id="refused"),
        pytest.param(NOTHING_MAPPED, 0, "mapped nothing to the Edge TPU", id="nothing-mapped"),
    ],
)
def test_of_a_rejected_model_nothing_runs_on_the_edge_tpu(
    log: str, exit_code: int, reason: str, bin_dir: Path, tmp_path: Path
) -> None:
    make_compiler(bin_dir, log, exit_code=exit_code, output=STUB)
    record, report = run(tmp_path)
    assert (record.compiled, record.source, count(record)) == (False, PlacementSource.COMPILER, (5, 0, 5, 0))
    assert reason in record.reason
    assert (report.source, report.conforms, report.problems) == (PlacementSource.COMPILER, False, (record.reason,))
    assert report.compiler_log == log
    assert set(placements(report)) == {"cpu"}
    assert report.ops[0].reason == f"would map, but {record.reason}"
    assert report.ops[2].reason == "the Edge TPU does not support this operator"
