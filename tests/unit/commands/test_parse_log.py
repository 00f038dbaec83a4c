"""`reefline parse-log` through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from reefline.cli import app
from tests.compiler_log_cases import LOG_DIR, needs_logs
from tests.factories_compiler import FAILURE_LOG, SUCCESS_LOG


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write_log(folder: Path, content: bytes) -> Path:
    path = folder / "log.txt"
    path.write_bytes(content)
    return path


@needs_logs
def test_parse_log_as_json() -> None:
    result = invoke("parse-log", LOG_DIR / "17_stdout_v16_zero_subgraphs.txt", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "outcome": "compiled_nothing_mapped",
        "failure": None,
        "compiler_version": "16.0.384591198",
        "ops_total": 157,
        "ops_on_tpu": 0,
        "ops_on_cpu": 157,
        "subgraphs": 0,
        "off_chip_bytes": 0,
        "operators": [
            {"op": "RESHAPE", "count": 10, "status": "Operation is working on an unsupported data type"},
        ],
    }


def test_parse_log_for_people(tmp_path: Path) -> None:
    result = invoke("parse-log", write_log(tmp_path, SUCCESS_LOG.encode()))
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "outcome: compiled (compiler 16.0.384591198)",
        "operators: 3",
        "on the Edge TPU: 3",
        "on the CPU: 0",
        "Edge TPU subgraphs: 1",
        "on-chip memory used for parameters: 1048576 bytes",
        "on-chip memory free for parameters: 6291456 bytes",
        "parameters streamed from off-chip memory: 2048 bytes",
        "     3  ADD                          Mapped to Edge TPU",
    ]


def test_parse_log_of_a_failure_says_what_to_do(tmp_path: Path) -> None:
    result = invoke("parse-log", write_log(tmp_path, FAILURE_LOG.encode()))
    assert result.exit_code == 0
    assert "failure: not_quantized: the model is not quantized to integers" in result.stdout
    assert "convert it with calibration images" in result.stdout


@pytest.mark.parametrize(
    ("content", "failure"),
    [
        pytest.param(bytes(range(256)), "unknown", id="binary"),
        pytest.param(b"", "unknown", id="empty"),
        pytest.param(FAILURE_LOG.encode("utf-16"), "not_quantized", id="utf-16"),
    ],
)
def test_parse_log_reads_any_bytes(content: bytes, failure: str, tmp_path: Path) -> None:
    result = invoke("parse-log", write_log(tmp_path, content), "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["failure"] == failure


def test_parse_log_without_a_file(tmp_path: Path) -> None:
    result = invoke("parse-log", tmp_path / "none.log")
    assert result.exit_code == 2
    assert "none.log: cannot read it (No such file or directory)" in result.output
