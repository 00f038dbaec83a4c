"""`reefline compile` through the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema
from click.testing import Result
from typer.testing import CliRunner

from reefline.cli import app
from tests.factories_compiler import COMPILED_FILE, FAILURE_LOG, STUB, SUCCESS_LOG, make_compiler

REPO_DIR = Path(__file__).resolve().parents[3]
INTERRUPTED = 130


def invoke(*arguments: str | Path | int) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A TFLite file with three operators; only stand-ins are on the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    subgraph = schema.SubGraphT()
    subgraph.operators = [schema.OperatorT() for _ in range(3)]
    content = schema.ModelT()
    content.version, content.subgraphs, content.operatorCodes = 3, [subgraph], [schema.OperatorCodeT()]
    builder = flatbuffers.Builder()
    builder.Finish(content.Pack(builder), file_identifier=b"TFL3")
    path = tmp_path / "models" / "model.tflite"
    path.parent.mkdir()
    path.write_bytes(bytes(builder.Output()))
    return path


def test_compile_writes_next_to_the_model(model: Path, tmp_path: Path) -> None:
    make_compiler(tmp_path / "bin", SUCCESS_LOG, output=COMPILED_FILE)
    result = invoke("compile", model)
    assert result.exit_code == 0, result.output
    assert "model_edgetpu.tflite: 3 of 3 operators run on the Edge TPU" in result.stdout
    assert (model.parent / "model_edgetpu.tflite").read_bytes() == COMPILED_FILE


def test_compile_adds_no_file_to_a_bundle(model: Path, tmp_path: Path) -> None:
    make_compiler(tmp_path / "bin", SUCCESS_LOG, output=COMPILED_FILE)
    (model.parent / "manifest.json").write_text("{}")
    result = invoke("compile", model)
    assert result.exit_code == 2
    assert "a bundle, which holds only what its manifest lists; name another folder with --out DIR" in result.output
    assert not (model.parent / "model_edgetpu.tflite").exists()


def test_compile_passes_its_options_to_the_compiler(model: Path, tmp_path: Path) -> None:
    stand_in = make_compiler(tmp_path / "bin", SUCCESS_LOG, output=COMPILED_FILE, engines=("podman",))
    options = ("--min-runtime-version", "13", "--search-delegate", "--delegate-search-step", "4", "--timeout", "30")
    result = invoke("compile", model, "--out", tmp_path / "a" / "b", "--image", "coral", *options)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "a" / "b" / "model_edgetpu.tflite").read_bytes() == COMPILED_FILE
    assert not (model.parent / "model_edgetpu.tflite").exists()
    (call,) = stand_in.engine_calls
    place = call.index("coral")
    assert call[place + 1 :] == [
        *["-s", "-o", "/output", "-t", "30", "-m", "13", "-d", "-k", "4"],
        "/model/model.tflite",
    ]


def test_compile_without_a_compiler_says_what_to_do(model: Path) -> None:
    result = invoke("compile", model)
    assert result.exit_code == 2
    assert "edgetpu_compiler is not on the PATH" in result.output and "--image" in result.output


def test_compile_that_fails_leaves_the_earlier_file(model: Path, tmp_path: Path) -> None:
    make_compiler(tmp_path / "bin", FAILURE_LOG, exit_code=1, output=STUB)
    earlier = model.parent / "model_edgetpu.tflite"
    earlier.write_bytes(b"compiled earlier")
    result = invoke("compile", model)
    assert result.exit_code == 2
    assert "the model is not quantized to integers" in result.output
    assert earlier.read_bytes() == b"compiled earlier"


@pytest.mark.parametrize(
    "engines", [pytest.param((), id="on-the-path"), pytest.param(("docker",), id="in-a-container")]
)
@pytest.mark.parametrize(
    ("number", "exit_code"),
    [
        pytest.param(signal.SIGINT, INTERRUPTED, id="ctrl-c"),
        pytest.param(signal.SIGTERM, 128 + signal.SIGTERM, id="sigterm"),
    ],
)
def test_a_signal_ends_the_compiler_with_its_children(
    number: signal.Signals, exit_code: int, engines: tuple[str, ...], model: Path, tmp_path: Path
) -> None:
    stand_in = make_compiler(tmp_path / "bin", SUCCESS_LOG, output=COMPILED_FILE, sleep_s=60, engines=engines)
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "reefline", "compile", str(model), *(("--image", "coral") if engines else ())],
        cwd=REPO_DIR,
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert stand_in.has_child_started()
        process.send_signal(number)
        assert process.wait(30) == exit_code
    finally:
        process.kill()
    assert stand_in.has_child_ended()
    assert [path.name for path in model.parent.iterdir()] == [model.name]
    assert not list(scratch.iterdir())
    if engines:
        started, removed = stand_in.engine_calls
        assert removed == ["rm", "--force", started[started.index("--name") + 1]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("--image", "--rm"), "image: found '--rm'", id="image"),
        pytest.param(("--timeout", "inf"), "timeout_s: found inf", id="endless"),
        pytest.param(("--min-runtime-version", "9"), "Invalid value for '--min-runtime-version'", id="runtime"),
        pytest.param(("--out", "FILE"), "cannot write it", id="out-is-a-file"),
    ],
)
def test_compile_with_an_option_that_makes_no_sense(
    arguments: tuple[str, str], message: str, model: Path, tmp_path: Path
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("")
    result = invoke("compile", model, *(str(taken) if word == "FILE" else word for word in arguments))
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "no such file", id="missing"),
        pytest.param(b"no TFLite at all", "not a TFLite model", id="other-file"),
    ],
)
def test_compile_of_what_is_no_model(content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    if content is not None:
        path.write_bytes(content)
    result = invoke("compile", path)
    assert result.exit_code == 2
    assert message in result.output


SEGMENT_LOG = "".join((SUCCESS_LOG.replace("operations: 3", "operations: 1"), *(SUCCESS_LOG.partition("\n")[2],) * 2))


def test_segments_are_passed_on_and_each_is_written(model: Path, tmp_path: Path) -> None:
    stand_in = make_compiler(tmp_path / "bin", SEGMENT_LOG, output=COMPILED_FILE)
    result = invoke("compile", model, "--segments", 3, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    names = [f"model_segment_{part}_of_3_edgetpu.tflite" for part in range(3)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert stand_in.compiler_options["num_segments"] == 3
    lines = result.stdout.splitlines()
    assert [line.rpartition("/")[2] for line in lines[:3]] == names
    assert "3 segments: 7 of 7 operators run on the Edge TPU" in lines[3]
    assert "0.01 MiB of parameters do not fit on the chip" in lines[3]


def test_a_missing_segment_is_a_failure(model: Path, tmp_path: Path) -> None:
    make_compiler(tmp_path / "bin", SUCCESS_LOG, output=COMPILED_FILE, outputs=1)
    result = invoke("compile", model, "--segments", 2, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "did not write model_segment_1_of_2_edgetpu.tflite" in result.output
    assert "not every model can be split: try without --segments" in result.output
    assert not list((tmp_path / "out").iterdir())


def test_segments_without_a_compiler(model: Path) -> None:
    result = invoke("compile", model, "--segments", 2)
    assert result.exit_code == 2
    assert "edgetpu_compiler is not on the PATH" in result.output
    assert "can be split" not in result.output


def test_one_segment_is_an_ordinary_compilation(model: Path, tmp_path: Path) -> None:
    stand_in = make_compiler(tmp_path / "bin", SUCCESS_LOG, output=COMPILED_FILE)
    assert invoke("compile", model, "--segments", 1).exit_code == 0
    assert stand_in.compiler_options["num_segments"] is None
    assert (model.parent / "model_edgetpu.tflite").is_file()
