"""`reefline doctor` through the command line, with checks made for the test."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from reefline.cli import app
from reefline.verification import installation
from reefline.verification.installation import Check, Health


def _examine_as(monkeypatch: pytest.MonkeyPatch, *checks: Check) -> None:
    monkeypatch.setattr(installation, "examine", lambda _folder: checks)


def test_notes_are_no_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _examine_as(monkeypatch, Check("edgetpu_compiler", Health.NOTE, "not on the PATH", "install it"))
    result = CliRunner().invoke(app, ["doctor", "--workspace", str(tmp_path)])
    assert result.exit_code == 0
    assert "note  edgetpu_compiler: not on the PATH\n         install it" in result.stdout
    assert result.stdout.splitlines()[-1] == "no problems found"


def test_a_problem_is_exit_code_2(monkeypatch: pytest.MonkeyPatch) -> None:
    _examine_as(monkeypatch, Check("Python", Health.PROBLEM, "3.12.0", "run `make setup`"))
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 2
    assert "PROBLEM  Python: 3.12.0" in result.stdout
    assert "1 problem(s) found" in result.stdout
