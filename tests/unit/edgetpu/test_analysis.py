from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from reefline.cli import app
from reefline.edgetpu.analysis import analyze_model
from reefline.edgetpu.compiled import belongs_together
from reefline.edgetpu.placement import place_as_compiled
from reefline.errors import BundleError
from reefline.tflite.reader import count_operators, read_graph
from tests.compiled_pair_cases import PAIRS, PAIRS_DIR, TRUTH, needs_pairs
from tests.factories_detect import push_small_bundle
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

# Published with an int8 file of another calibration: float_heatmaps has scale 0.084 there and 0.092 here.
STRANGERS = {"bodypix_mobilenet_v1_075_512_512_16_quant_decoder.tflite"}

TENSORS = (TensorSpec("a", type="UINT8"), TensorSpec("b"), TensorSpec("c"), TensorSpec("d"), *CONV_PARAMETERS)
OPS = (OpSpec("QUANTIZE", ("a",), ("b",)), conv("b", "c"), OpSpec("ARG_MAX", ("c",), ("d",), 2))
MODEL = build_model(TENSORS, OPS, ["a"], ["d"])
COMPILED = build_model(
    (TensorSpec("a"), TensorSpec("b")),
    (OpSpec(EDGE_TPU, ("a",), ("b",), custom_options=build_package([(2, 0), (1, 64)])),),
    ["a"],
    ["b"],
)


@needs_pairs
@pytest.mark.parametrize("pair", PAIRS)
def test_the_real_compiler_agrees(pair: dict[str, Any]) -> None:
    analysis = analyze_model(PAIRS_DIR / pair["model"])
    left_out = set(pair["cpu_op_indices"])
    assert analysis.conforms
    assert analysis.summary.total == pair["total_ops"]
    assert [op.index for op in analysis.ops if op.placement == "cpu"] == sorted(left_out)
    assert analysis.summary.uncertain == 0


@needs_pairs
@pytest.mark.parametrize("pair", PAIRS)
def test_a_real_compiled_file_is_read(pair: dict[str, Any]) -> None:
    compiled = analyze_model(PAIRS_DIR / pair["compiled"]).compiled
    assert compiled is not None
    assert len(compiled.ops_outside) == len(pair["cpu_op_indices"])
    assert 10 <= compiled.min_runtime_version <= 14
    assert compiled.executables
    # The compiler pads and repacks: never less than what the int8 file has for the operators that map.
    assert compiled.cached_parameter_bytes >= analyze_model(PAIRS_DIR / pair["model"]).parameter_bytes


@needs_pairs
@pytest.mark.parametrize("pair", PAIRS)
def test_a_real_compiled_file_places_the_int8_models_operators(pair: dict[str, Any]) -> None:
    model, compiled = PAIRS_DIR / pair["model"], PAIRS_DIR / pair["compiled"]
    placed = place_as_compiled(read_graph(model), read_graph(compiled), analyze_model(model).ops)
    assert placed is not None
    assert [op.index for op in placed if op.placement == "cpu"] == sorted(pair["cpu_op_indices"])
    assert {op.placement.value for op in placed} <= {"edgetpu", "cpu"}


@needs_pairs
@pytest.mark.parametrize("pair", PAIRS)
def test_a_real_compiled_file_belongs_to_its_int8_file_alone(pair: dict[str, Any]) -> None:
    compiled = PAIRS_DIR / pair["compiled"]
    owners = {other["model"] for other in TRUTH if not belongs_together(PAIRS_DIR / other["model"], compiled)}
    assert owners == {pair["model"]} - STRANGERS
    analysis = analyze_model(compiled)
    assert analysis.compiled is not None
    assert analysis.compiled.belongs_to == (str(PAIRS_DIR / pair["model"]) if owners else None)
    assert bool(analysis.problems) is not bool(owners)


@needs_pairs
def test_the_analysis_is_quick() -> None:
    largest = max((PAIRS_DIR / pair["model"] for pair in TRUTH), key=lambda path: path.stat().st_size)
    started = time.process_time()
    analyze_model(largest)
    assert time.process_time() - started < 1.0


def test_ten_megabytes_take_less_than_a_second(tmp_path: Path) -> None:
    layers = 150
    tensors = [TensorSpec(f"t{index}") for index in range(layers + 1)]
    tensors += [TensorSpec(f"w{index}", (70_000, 1), data=b"\1" * 70_000) for index in range(layers)]
    ops = [OpSpec("CONV_2D", (f"t{n}", f"w{n}"), (f"t{n + 1}",)) for n in range(layers)]
    model = write_model(tmp_path / "m.tflite", tensors, ops, ["t0"], [f"t{layers}"])
    started = time.process_time()
    analysis = analyze_model(model)
    assert time.process_time() - started < 1.0
    assert analysis.summary.edgetpu == layers
    assert analysis.parameter_bytes == 70_000 * layers > 8 * 2**20
    assert not analysis.fits_on_chip
    assert "do not fit" in analysis.to_text()


def test_the_record_is_json(tmp_path: Path) -> None:
    model = tmp_path / "m.tflite"
    model.write_bytes(MODEL)
    run = CliRunner().invoke(app, ["analyze", str(model), "--json"])
    assert run.exit_code == 0
    record = json.loads(run.stdout)
    assert record["model"] == str(model)
    assert record["conforms"] is True
    assert record["problems"] == []
    assert record["ops"][0] == {
        "index": 0,
        "op": "QUANTIZE",
        "version": 1,
        "placement": "edgetpu",
        "reason": "within all known limits",
        "blocked_by": None,
    }
    assert record["summary"] == {"total": 3, "edgetpu": 2, "cpu": 1, "uncertain": 0}
    assert record["compiled"] is None


def test_older_bundles_have_the_same_placement(tmp_path: Path) -> None:
    found = []
    for old_order in (False, True):
        path = push_small_bundle(tmp_path / str(old_order), old_order=old_order) / "model_int8.tflite"
        result = CliRunner().invoke(app, ["analyze", str(path), "--json"])
        assert result.exit_code == 0, result.output
        found.append(json.loads(result.stdout))
        assert found[-1].pop("model") == str(path)
    assert found[0] == found[1]
    assert found[0]["ops"][-1]["op"] == "CUSTOM:TFLite_Detection_PostProcess"


def test_the_text_says_what_does_not_map_and_why(tmp_path: Path) -> None:
    model = tmp_path / "m.tflite"
    model.write_bytes(build_model(TENSORS, (*OPS[:2], OpSpec("GELU", ("c",), ("d",))), ["a"], ["d"]))
    run = CliRunner().invoke(app, ["analyze", str(model)])
    assert run.exit_code == 0
    assert "0 of 3 ops run on the Edge TPU, 3 on the CPU" in run.stdout
    assert "not expected to compile with edgetpu_compiler 16.0 (prediction)" in run.stdout
    assert "builtin code 150" in run.stdout
    assert "op 2 GELU v1: cpu: the Edge TPU does not support this operator" in run.stdout


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"", "not a TFLite model", id="empty"),
        pytest.param(b"PK\3\4 an archive", "not a TFLite model", id="other_format"),
        pytest.param(b"\x1c\0\0\0TFL3", "damaged or truncated", id="header_alone"),
        pytest.param(MODEL[: len(MODEL) // 2], "damaged or truncated", id="half"),
        pytest.param(None, "cannot be read", id="missing"),
    ],
)
def test_what_is_no_model_ends_with_one_message(tmp_path: Path, content: bytes | None, expected: str) -> None:
    path = tmp_path / "m.tflite"
    if content is not None:
        path.write_bytes(content)
    run = CliRunner().invoke(app, ["analyze", str(path)])
    assert run.exit_code == 2
    assert run.exception is None or isinstance(run.exception, SystemExit)
    assert expected in run.output
    assert len(run.output.strip().splitlines()) == 1
    with pytest.raises(BundleError, match=expected):
        read_graph(path)


def test_operators_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(MODEL)
    assert count_operators(path) == 3


@pytest.mark.parametrize("original", [pytest.param(MODEL, id="int8"), pytest.param(COMPILED, id="compiled")])
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_bytes_never_crash(tmp_path: Path, original: bytes, data: st.DataObject) -> None:
    content = bytearray(original)
    positions = st.integers(8, len(content) - 1)
    for position, value in data.draw(st.lists(st.tuples(positions, st.integers(0, 255)), max_size=12)):
        content[position] = value
    path = tmp_path / "m.tflite"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    with contextlib.suppress(BundleError):
        record = analyze_model(path)
        json.dumps(record.to_json())
        record.to_text()
        belongs_together(path, path)
        count_operators(path)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tail=st.binary(max_size=400))
def test_garbage_never_crashes(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(b"\x10\0\0\0TFL3" + tail)
    with contextlib.suppress(BundleError):
        analyze_model(path)
