"""The compiler adapter, with a stand-in that replays real logs: the real compiler is closed and was not available."""

from __future__ import annotations

import os
from pathlib import Path

import pydantic
import pytest

from reefline.edgetpu.compiler.adapter import compile_for_edge_tpu
from reefline.edgetpu.compiler.command import find_container_engine
from reefline.edgetpu.compiler.log import MAPPED_STATUS
from reefline.edgetpu.compiler.log_parser import parse_log
from reefline.edgetpu.compiler.outcome import Compiled, NotCompiled, Outcome, Rejected
from reefline.settings import CompilerSettings
from tests.compiler_log_cases import CASE_PARAMETERS, CASES, LOG_DIR, Case, needs_logs
from tests.factories_compiler import COMPILED_FILE, STUB, make_compiler

PAIR_DIR = LOG_DIR.parent / "compiled_pairs"
VERSION = "Edge TPU Compiler version 16.0.384591198\n"
SUCCESS = (
    VERSION + "Model compiled successfully in 17 ms.\n\n"
    "Off-chip memory used for streaming uncached model parameters: 0.00B\n"
    "Number of Edge TPU subgraphs: 1\nTotal number of operations: 102\n"
    "Number of operations that will run on Edge TPU: 99\nNumber of operations that will run on CPU: 3\n"
)
OPS_TOTAL = 102


@pytest.fixture
def bin_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH: nothing that the machine itself has is found."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "bin"


def run(tmp_path: Path, settings: CompilerSettings | None = None) -> tuple[Outcome, Path]:
    model, target = tmp_path / "models" / "model_int8.tflite", tmp_path / "out" / "model_int8_edgetpu.tflite"
    model.parent.mkdir()
    target.parent.mkdir()
    model.write_bytes(b"model")
    settings = settings or CompilerSettings(timeout_s=20)
    return compile_for_edge_tpu(model, target, ops_total=OPS_TOTAL, settings=settings), target


def files_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@needs_logs
@pytest.mark.parametrize("case", CASE_PARAMETERS)
def test_real_log_is_replayed(case: Case, bin_dir: Path, tmp_path: Path) -> None:
    """A success writes a compiled file of Coral's, a success with nothing mapped the model, a failure a stub."""
    compiled = (PAIR_DIR / "split_concat_edgetpu.tflite").read_bytes()
    plain = (PAIR_DIR / "mobilenet_v1_0.25_128_quant.tflite").read_bytes()
    written = {"compiled": compiled, "compiled_nothing_mapped": plain, "failed": STUB}[case.outcome]
    make_compiler(bin_dir, case.text, exit_code=int(case.outcome == "failed"), output=written)
    outcome, target = run(tmp_path)
    assert outcome.compiler_version == case.version
    if case.outcome == "compiled":
        assert isinstance(outcome, Compiled)
        assert (outcome.ops_total, outcome.ops_on_tpu, outcome.ops_on_cpu) == case.counts
        rest = [row for row in parse_log(case.text).operators if row.status != MAPPED_STATUS]
        assert all(f"{row.count} {row.op} ({row.status})" in outcome.reason for row in rest)
        assert target.read_bytes() == compiled
        assert files_of(target.parent) == [target.name]
    elif case.outcome == "compiled_nothing_mapped":
        assert isinstance(outcome, Rejected) and "mapped nothing" in outcome.reason
        assert (outcome.ops_total, 0, outcome.ops_total) == case.counts
        assert files_of(target.parent) == []
    else:
        assert "failed with exit code 1: " in outcome.reason
        is_about_the_model = case.failure not in ("timeout", "internal_error", "crash", "unknown")
        assert isinstance(outcome, Rejected if is_about_the_model else NotCompiled)
        assert not is_about_the_model or outcome.ops_total == OPS_TOTAL
        assert files_of(target.parent) == []


@needs_logs
def test_failure_that_writes_a_complete_file_is_a_failure(bin_dir: Path, tmp_path: Path) -> None:
    case = next(case for case in CASES if case.failure == "internal_error")
    make_compiler(bin_dir, case.text, exit_code=0, output=COMPILED_FILE)
    outcome, target = run(tmp_path)
    assert isinstance(outcome, NotCompiled) and not target.exists()
    assert "Internal compiler error. Aborting!" in outcome.reason


@pytest.mark.parametrize(
    ("text", "exit_code", "output", "reason"),
    [
        pytest.param(SUCCESS, 1, COMPILED_FILE, "reported success, but exited with code 1", id="exit-code"),
        pytest.param(SUCCESS, 0, None, "did not write model_int8_edgetpu.tflite", id="no-file"),
        pytest.param(SUCCESS, 0, STUB, "is a stub of 1024 bytes", id="stub"),
        pytest.param(SUCCESS, 0, b"\x01" * 60_000, "is not a TFLite model", id="not-tflite"),
        pytest.param(SUCCESS, 0, b"\0\0\0\0TFL3".ljust(60_000), "contains no edgetpu-custom-op", id="no-custom-op"),
        pytest.param("What?\n", 0, COMPILED_FILE, "gave no known reason; read its", id="unknown-text"),
        pytest.param("What?\n", 3, None, "exit code 3: the compiler gave no known reason", id="unknown-text-and-code"),
        pytest.param("A library is missing\n", 127, None, "; last line: A library is missing", id="last-line"),
    ],
)
def test_success_counts_only_if_everything_agrees(
    text: str, exit_code: int, output: bytes | None, reason: str, bin_dir: Path, tmp_path: Path
) -> None:
    make_compiler(bin_dir, text, exit_code=exit_code, output=output)
    outcome, target = run(tmp_path)
    assert isinstance(outcome, NotCompiled) and reason in outcome.reason
    assert files_of(target.parent) == []


def test_an_engine_that_cannot_run_the_image_is_not_the_compiler(bin_dir: Path, tmp_path: Path) -> None:
    text = "docker: Cannot connect to the Docker daemon.\nRun 'docker run --help' for more information\n"
    make_compiler(bin_dir, text, exit_code=125, engines=("docker",))
    outcome, _ = run(tmp_path, CompilerSettings(image="coral", timeout_s=20))
    assert isinstance(outcome, NotCompiled)
    assert outcome.reason.startswith(
        "docker could not run the image coral: docker: Cannot connect to the Docker daemon."
    )


def test_a_flood_of_output_is_read_from_its_end(bin_dir: Path, tmp_path: Path) -> None:
    make_compiler(bin_dir, "noise " * 10**6 + "\n" + SUCCESS, output=COMPILED_FILE)
    outcome, _ = run(tmp_path)
    assert isinstance(outcome, Compiled)


def test_streamed_parameters_are_named(bin_dir: Path, tmp_path: Path) -> None:
    make_compiler(bin_dir, SUCCESS.replace("0.00B", "1.70MiB"), output=COMPILED_FILE)
    outcome, _ = run(tmp_path)
    assert isinstance(outcome, Compiled)
    assert outcome.reason.startswith("99 of 102 operators run on the Edge TPU, according to edgetpu_compiler; 1.70 MiB")


def test_options_are_the_compilers_own(bin_dir: Path, tmp_path: Path) -> None:
    stand_in = make_compiler(bin_dir, SUCCESS, output=COMPILED_FILE)
    settings = CompilerSettings(min_runtime_version=13, search_delegate=True, delegate_search_step=7, timeout_s=20.9)
    outcome, _ = run(tmp_path, settings)
    assert isinstance(outcome, Compiled)
    options = stand_in.compiler_options
    assert {name: options[name] for name in "stmdk"} == {"s": True, "t": "20", "m": "13", "d": True, "k": "7"}
    # The compiler's folders were its own, and are gone.
    for name in ("o", "cwd", "tmp"):
        assert not Path(str(options[name])).exists()
        assert not Path(str(options[name])).is_relative_to(Path.cwd())


def test_options_that_are_not_set_are_not_passed(bin_dir: Path, tmp_path: Path) -> None:
    stand_in = make_compiler(bin_dir, SUCCESS, output=COMPILED_FILE)
    run(tmp_path, CompilerSettings(delegate_search_step=7))
    assert {name: stand_in.compiler_options[name] for name in "mdkt"} == {"m": None, "d": False, "k": None, "t": "600"}


def test_compiler_that_hangs_is_killed_with_its_children(bin_dir: Path, tmp_path: Path) -> None:
    stand_in = make_compiler(bin_dir, SUCCESS, output=COMPILED_FILE, sleep_s=60)
    outcome, target = run(tmp_path, CompilerSettings(timeout_s=2))
    assert isinstance(outcome, NotCompiled) and "did not finish within 2 s" in outcome.reason
    assert stand_in.has_child_ended()
    assert not target.exists()


def test_compiler_that_cannot_be_run(bin_dir: Path, tmp_path: Path) -> None:
    make_compiler(bin_dir, "")
    (bin_dir / "edgetpu_compiler").write_bytes(b"\x7fELF not a program")
    outcome, _ = run(tmp_path)
    assert isinstance(outcome, NotCompiled) and "cannot run" in outcome.reason


def test_without_a_compiler_the_outcome_has_the_reason(bin_dir: Path, tmp_path: Path) -> None:
    outcome, _ = run(tmp_path)
    assert isinstance(outcome, NotCompiled)
    assert "not on the PATH" in outcome.reason and "exporter.compiler.image" in outcome.reason


@pytest.mark.parametrize(
    ("engines", "taken"),
    [
        pytest.param(("docker",), "docker", id="docker"),
        pytest.param(("podman",), "podman", id="podman"),
        pytest.param(("podman", "docker"), "docker", id="both"),
    ],
)
def test_image_is_run(engines: tuple[str, ...], taken: str, bin_dir: Path, tmp_path: Path) -> None:
    stand_in = make_compiler(bin_dir, SUCCESS, output=COMPILED_FILE, engines=engines)
    outcome, target = run(tmp_path, CompilerSettings(image="coral/compiler:16", timeout_s=20))
    assert isinstance(outcome, Compiled) and target.read_bytes() == COMPILED_FILE
    (call,) = stand_in.engine_calls
    assert call[:2] == ["run", "--rm"]
    assert f"type=bind,source={(tmp_path / 'models').resolve()},target=/model,readonly" in call
    place = call.index("--entrypoint")
    assert call[place + 1 : place + 3] == ["edgetpu_compiler", "coral/compiler:16"]
    assert call[place + 3 :] == ["-s", "-o", "/output", "-t", "20", "/model/model_int8.tflite"]
    assert ("--user" in call) == (taken == "docker")
    assert find_container_engine() == bin_dir / taken


@pytest.mark.parametrize("folder", ["a:b", "a,b", 'a"b', "with spaces"])
def test_image_reads_models_from_folders_of_any_name(folder: str, bin_dir: Path, tmp_path: Path) -> None:
    make_compiler(bin_dir, SUCCESS, output=COMPILED_FILE, engines=("docker",))
    (tmp_path / folder).mkdir()
    outcome, _ = run(tmp_path / folder, CompilerSettings(image="coral/compiler:16", timeout_s=20))
    assert isinstance(outcome, Compiled)


@pytest.mark.parametrize(
    ("user", "options"),
    [
        pytest.param(1000, ("--userns", "keep-id"), id="rootless"),
        pytest.param(0, (), id="root"),
    ],
)
def test_podman_maps_users(
    user: int, options: tuple[str, ...], bin_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: user)
    stand_in = make_compiler(bin_dir, SUCCESS, output=COMPILED_FILE, engines=("podman",))
    run(tmp_path, CompilerSettings(image="coral", timeout_s=20))
    (call,) = stand_in.engine_calls
    assert tuple(call[i] for i, word in enumerate(call) if word in ("--userns", "keep-id", "--user")) == options


def test_container_that_hangs_is_removed(bin_dir: Path, tmp_path: Path) -> None:
    stand_in = make_compiler(bin_dir, SUCCESS, sleep_s=60, engines=("docker",))
    outcome, _ = run(tmp_path, CompilerSettings(image="coral", timeout_s=2))
    assert "did not finish within 2 s" in outcome.reason
    started, removed = stand_in.engine_calls
    assert removed == ["rm", "--force", started[started.index("--name") + 1]]
    assert stand_in.has_child_ended()


def test_image_without_an_engine(bin_dir: Path, tmp_path: Path) -> None:
    make_compiler(bin_dir, SUCCESS, output=COMPILED_FILE)
    outcome, _ = run(tmp_path, CompilerSettings(image="coral"))
    assert isinstance(outcome, NotCompiled)
    assert "neither docker nor podman is on the PATH to run the image coral" in outcome.reason


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        pytest.param("image", "--privileged", id="image-that-is-an-option"),
        pytest.param("min_runtime_version", 9, id="runtime-too-low"),
        pytest.param("min_runtime_version", 15, id="runtime-too-high"),
        pytest.param("delegate_search_step", 0, id="step"),
        pytest.param("timeout_s", 0, id="timeout"),
    ],
)
def test_settings_that_make_no_sense(setting: str, value: object) -> None:
    with pytest.raises(pydantic.ValidationError, match=setting):
        CompilerSettings.model_validate({setting: value})
