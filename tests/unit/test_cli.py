"""reefline/cli.py through the command line itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from reefline.cli import app
from reefline.verification import installation
from reefline.verification.installation import Check, Health


def _run(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def _examine_as(monkeypatch, *checks: Check) -> None:
    monkeypatch.setattr(installation, "examine", lambda _folder: checks)


def test_doctor_is_content_with_notes(monkeypatch, tmp_path: Path) -> None:
    _examine_as(monkeypatch, Check("edgetpu_compiler", Health.NOTE, "not on the PATH", "install it"))
    result = _run("doctor", "--workspace", str(tmp_path))
    assert result.exit_code == 0
    assert "note  edgetpu_compiler: not on the PATH\n         install it" in result.stdout
    assert "all that is required is there" in result.stdout


def test_doctor_fails_for_a_problem(monkeypatch) -> None:
    _examine_as(monkeypatch, Check("Python", Health.PROBLEM, "3.12.0", "run `make setup`"))
    result = _run("doctor")
    assert result.exit_code == 2
    assert "PROBLEM  Python: 3.12.0" in result.stdout
    assert "1 problem(s) found" in result.stdout


@pytest.mark.parametrize(
    ("models", "message"),
    [
        pytest.param([], "no model is served here", id="none"),
        pytest.param(["a", "b"], "serves 2 models (a, b); name one with --model NAME", id="two"),
        pytest.param(["a"], "nothing to roll back", id="nothing-serves"),
    ],
)
def test_rollback_says_what_is_wrong(tmp_path: Path, models: list[str], message: str) -> None:
    for model in models:
        (tmp_path / "serving" / model).mkdir(parents=True)
    result = _run("rollback", "--workspace", str(tmp_path))
    assert result.exit_code == 2
    assert message in result.output


def test_unknown_command() -> None:
    assert _run("rollbak").exit_code == 2
