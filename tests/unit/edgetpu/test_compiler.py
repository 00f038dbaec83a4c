"""The compiler adapter, with a stand-in that replays real logs: the real compiler is closed and was not at hand."""

import os
import stat
from pathlib import Path

import pytest

from reefline.edgetpu.compiler import compile_for_edge_tpu
from reefline.edgetpu.record import EdgeTpuRecord, PlacementSource

LOGS = Path(__file__).resolve().parents[3] / ".." / "shared" / "edgetpu" / "compiler_logs"
needs_logs = pytest.mark.skipif(not LOGS.is_dir(), reason="../shared/edgetpu/compiler_logs is not there")


def install_stand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, *, exit_code: int = 0, output: bytes | None = None
) -> None:
    """Put an edgetpu_compiler on the PATH that prints `text` and writes `output` where the real one writes."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "log.txt").write_text(text)
    write = ""
    if output is not None:
        (folder / "output").write_bytes(output)
        write = f'cp "{folder}/output" "$3/$(basename "$4" .tflite)_edgetpu.tflite"'
    script = folder / "edgetpu_compiler"
    script.write_text(
        f'#!/bin/sh\n[ "$1" = -s ] && [ "$2" = -o ] || exit 99\ncat "{folder}/log.txt"\n{write}\nexit {exit_code}\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def run(tmp_path: Path, timeout_s: float = 20.0) -> tuple[EdgeTpuRecord, Path]:
    model, target = tmp_path / "model_int8.tflite", tmp_path / "model_int8_edgetpu.tflite"
    model.write_bytes(b"model")
    return compile_for_edge_tpu(model, target, ops_total=102, timeout_s=timeout_s), target


@needs_logs
def test_success_is_believed_when_text_and_file_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = (LOGS / "14_stdout_v14_tf2_ssd_mobilenet_v2_110_of_113.txt").read_text()
    install_stand_in(tmp_path, monkeypatch, log, output=b"....edgetpu-custom-op....")
    record, target = run(tmp_path)
    assert (record.compiled, record.source) == (True, PlacementSource.COMPILER)
    assert record.compiler_version == "14.1.317412892"
    assert (record.ops_total, record.ops_on_tpu, record.ops_on_cpu, record.ops_uncertain) == (113, 110, 3, 0)
    assert target.read_bytes() == b"....edgetpu-custom-op...."


@needs_logs
def test_success_with_nothing_mapped_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = (LOGS / "17_stdout_v16_zero_subgraphs.txt").read_text()
    install_stand_in(tmp_path, monkeypatch, log, output=b"the model as it was")
    record, target = run(tmp_path)
    assert not record.compiled and "mapped nothing" in record.reason
    assert not target.exists()


@needs_logs
def test_failure_with_a_stub_file_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = (LOGS / "39_fail_v15_internal_compiler_error.txt").read_text()
    install_stand_in(tmp_path, monkeypatch, log, exit_code=1, output=b"stub")
    record, target = run(tmp_path)
    assert not record.compiled and not target.exists()
    assert "Internal compiler error. Aborting!" in record.reason
    assert record.compiler_version == "15.0.340273435"
    assert record.ops_uncertain == 102


def test_compiler_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_stand_in(tmp_path, monkeypatch, "")
    script = tmp_path / "bin" / "edgetpu_compiler"
    script.write_text("#!/bin/sh\nexec sleep 30\n")
    record, target = run(tmp_path, timeout_s=0.5)
    assert not record.compiled and "did not finish within 0.5 s" in record.reason
    assert not target.exists()


def test_compiler_that_cannot_be_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_stand_in(tmp_path, monkeypatch, "")
    (tmp_path / "bin" / "edgetpu_compiler").write_bytes(b"\x7fELF not a program")
    record, _ = run(tmp_path)
    assert not record.compiled and "cannot be run" in record.reason


def test_without_a_compiler_the_record_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    record, _ = run(tmp_path)
    assert not record.compiled and "not on the PATH" in record.reason
    assert (record.ops_total, record.ops_on_tpu, record.ops_uncertain) == (102, 0, 102)
    assert EdgeTpuRecord.from_json(record.to_json()) == record
