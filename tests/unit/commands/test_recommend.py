"""`reefline recommend`: what it prints and writes; the recommendation itself is another test's."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from reefline.cli import app
from reefline.config.overrides import Override
from reefline.config.run_config import load_config
from reefline.recommendation import recommend as recommend_module
from tests.factories_recommendation import make_recommendation


def _run(*arguments: object):
    return CliRunner().invoke(app, ["recommend", *map(str, arguments)])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """Return the list of what was asked for; the answer is always the same."""
    requests: list[tuple[object, ...]] = []

    def recommend(data: Path, minutes: int | None, overrides: list[Override], _work_dir: Path, say) -> object:
        requests.append((data, minutes, [(override.name, override.value) for override in overrides]))
        say("measuring")
        return make_recommendation()

    monkeypatch.setattr(recommend_module, "recommend", recommend)
    return requests


def test_without_a_file_the_config_is_printed(asked: list[tuple[object, ...]], tmp_path: Path) -> None:
    result = _run("--data", tmp_path)
    assert result.exit_code == 0
    assert asked == [(tmp_path, None, [])]
    lines = result.stdout.splitlines()
    assert lines[0] == "… measuring"
    assert "* ssd_mobilenet_v1_300" in result.stdout
    assert lines[lines.index("# Recommended for 20 minutes.") + 1] == "model_name: detector"


def test_a_file_is_written_with_the_command_that_uses_it(asked: list[tuple[object, ...]], tmp_path: Path) -> None:
    out = tmp_path / "pets.yaml"
    result = _run("--data", tmp_path, "--minutes", 5, "--out", out, "--set", "trainer.seed=3")
    assert result.exit_code == 0
    assert asked == [(tmp_path, 5, [("trainer.seed", 3)])]
    assert load_config(out).trainer.num_steps == 3470
    assert "model_name" not in result.stdout
    last = result.stdout.splitlines()[-1]
    assert last == f"Train with it: python local_runner.py --config {out} --data {tmp_path}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--data", "nowhere"], "nowhere: no such folder; --data expects", id="no-data"),
        pytest.param(["--data", ".", "--set", "oops"], "--set oops: expected KEY=VALUE", id="malformed-set"),
        pytest.param(["--data", ".", "--set", "trainer.x=1"], "trainer.x: unknown key", id="unknown-key"),
        pytest.param(["--data", ".", "--out", "no/c.yaml"], "--out no/c.yaml: the folder", id="no-folder"),
    ],
)
def test_bad_usage_has_one_message(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = _run(*arguments)
    assert result.exit_code == 2
    assert [line for line in result.stderr.splitlines() if line.startswith("error: ")] == result.stderr.splitlines()
    assert message in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param([], "Missing option '--data'", id="no-data"),
        pytest.param(["--data", ".", "--minutes", "0"], "--minutes", id="no-minutes"),
    ],
)
def test_options_are_checked(arguments: list[str], message: str) -> None:
    result = _run(*arguments)
    assert (result.exit_code, message in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("error", "exit_code", "message"),
    [
        pytest.param(KeyboardInterrupt(), 130, "error: stopped by Ctrl-C", id="ctrl-c"),
        pytest.param(ValueError("odd\nmore"), 1, "error: unexpected ValueError: odd (traceback: ", id="unexpected"),
    ],
)
def test_other_ends(
    error: BaseException, exit_code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(recommend_module, "recommend", fail)
    result = _run("--data", tmp_path)
    assert result.exit_code == exit_code
    assert result.stderr.startswith(message)
