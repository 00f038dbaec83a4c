"""reefline/cli.py: what holds for every command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reefline.cli import app
from reefline.findings import Action, Finding
from reefline.verification import installation
from reefline.verification.installation import Check, Health
from tests.factories import encode_image
from tests.factories_detect import push_small_bundle
from tests.factories_evaluation import make_image
from tests.factories_summary import make_blessed, write_run
from tests.factories_tflite import OpSpec, TensorSpec, build_model

CLEAR_SCREEN = "\x1b[2J"
ESCAPED = "\\x1b[2J"
SMALL_MODEL = build_model([TensorSpec("a"), TensorSpec("b")], [OpSpec("RELU", ("a",), ("b",))], ["a"], ["b"])


def _run(*arguments: object):
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_unknown_command() -> None:
    assert _run("rollbak").exit_code == 2


def _detect(folder: Path) -> tuple[object, ...]:
    bundle = push_small_bundle(folder / "pushed", (f"cat {CLEAR_SCREEN}", "dog"))
    images = folder / CLEAR_SCREEN
    images.mkdir()
    (images / "a.png").write_bytes(encode_image(make_image("red", "green"), "PNG"))
    return "detect", "--bundle", bundle, images, folder / f"missing{CLEAR_SCREEN}", "--out", folder / "out"


def _detect_as_json(folder: Path) -> tuple[object, ...]:
    return *_detect(folder), "--json"


def _analyze(folder: Path) -> tuple[object, ...]:
    (folder / f"{CLEAR_SCREEN}.tflite").write_bytes(SMALL_MODEL)
    return "analyze", folder / f"{CLEAR_SCREEN}.tflite"


def _parse_log(folder: Path) -> tuple[object, ...]:
    table = f"Operator  Count  Status\n\nADD  3  Mapped to {CLEAR_SCREEN}\n"
    (folder / "log").write_text(f"Model compiled successfully in 1 ms.\n{table}")
    return "parse-log", folder / "log"


def _rollback(folder: Path) -> tuple[object, ...]:
    (folder / CLEAR_SCREEN / "serving" / "cells").mkdir(parents=True)
    return "rollback", "--workspace", folder / CLEAR_SCREEN


def _report(folder: Path) -> tuple[object, ...]:
    write_run(folder / "reports", make_blessed(findings=(Finding(CLEAR_SCREEN, 0, "r", CLEAR_SCREEN, Action.KEPT),)))
    return "report", "--text", "--workspace", folder


@pytest.mark.parametrize(
    "prepare",
    [
        pytest.param(_detect, id="detect"),
        pytest.param(_detect_as_json, id="detect-json"),
        pytest.param(_analyze, id="analyze"),
        pytest.param(_parse_log, id="parse-log"),
        pytest.param(_rollback, id="rollback"),
        pytest.param(_report, id="report"),
        pytest.param(lambda folder: ("compile", folder / CLEAR_SCREEN), id="compile"),
        pytest.param(lambda _: ("verify", "--config", f"{CLEAR_SCREEN}.yaml"), id="verify"),
        pytest.param(lambda _: ("recommend", "--data", CLEAR_SCREEN), id="recommend"),
        pytest.param(lambda _: ("doctor",), id="doctor"),
    ],
)
def test_no_command_prints_control_characters(
    prepare: Callable[[Path], tuple[object, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Classes, file names and logs come from anywhere, and none of them may move the cursor."""
    check = Check("disk", Health.GOOD, f"1.0 GB free at {CLEAR_SCREEN}")
    monkeypatch.setattr(installation, "examine", lambda _folder: (check,))
    result = _run(*prepare(tmp_path))
    assert isinstance(result.exception, (SystemExit, type(None))), result.exception
    printed = result.stdout + result.stderr
    assert ESCAPED in printed or "\\u001b[2J" in printed
    assert "\x1b" not in printed


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("--{}",), id="option"),
        pytest.param(("{}",), id="command"),
        pytest.param(("analyze", "a", "{}"), id="extra-argument"),
        pytest.param(("analyze", "--{}"), id="option-of-a-command"),
        pytest.param(("report", "--port", "{}"), id="value"),
    ],
)
@pytest.mark.parametrize("hostile", [pytest.param(CLEAR_SCREEN, id="escape"), pytest.param("\u202ex", id="direction")])
def test_no_usage_error_prints_control_characters(arguments: tuple[str, ...], hostile: str) -> None:
    result = _run(*(argument.format(hostile) for argument in arguments))

    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert not {"\x1b", "\u202e"} & set(result.stdout + result.stderr)
