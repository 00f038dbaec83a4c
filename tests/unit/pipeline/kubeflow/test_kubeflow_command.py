"""kubeflow_runner.py: the command line, its files and its exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

import kubeflow_runner
from pipeline.kubeflow.submit import Submission
from reefline.errors import ReeflineError
from tests.factories_kubeflow import IMAGE, REPO_DIR

CONFIG = str(REPO_DIR / "configs" / "demo.yaml")


def _compile(output: Path, *options: str, data: str = "demo:", serving: str = "s3://bucket/serving") -> int:
    arguments = ["compile", "--config", CONFIG, "--image", IMAGE, "--data", data, "--serving", serving]
    return kubeflow_runner.main([*arguments, "--output", str(output), *options])


def test_compile_then_lint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package = tmp_path / "packages" / "pipeline.yaml"
    assert _compile(package) == 0
    assert "(16 tasks, " in capsys.readouterr().out
    assert "reefline/data: demo:360:0" in package.read_text()
    assert kubeflow_runner.main(["lint", str(package)]) == 0
    assert "pipeline.yaml: 0 errors, 0 warnings" in capsys.readouterr().out


def test_lint_fails_on_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package = tmp_path / "pipeline.yaml"
    package.write_text("schemaVersion: 2.0.0\n")
    assert kubeflow_runner.main(["lint", str(package)]) == 2
    assert "error: schemaVersion: 2.0.0; KFP reads 2.1.0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"data": "/srv/data"}, "REEFLINE_DATA: /srv/data is neither in the image", id="path"),
        pytest.param({"serving": "/srv/serving"}, "destination: /srv/serving is lost with the pod", id="serving"),
    ],
)
def test_compile_refuses_what_lint_refuses(
    options: dict[str, str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _compile(tmp_path / "pipeline.yaml", **options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "pipeline.yaml").exists()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        pytest.param("pipeline.json", (), "as YAML only", id="kfp-json"),
        pytest.param("pipeline.yaml", ("--target", "vertex"), "Vertex AI takes JSON", id="vertex-yaml"),
        pytest.param("pipeline.yaml", ("--set", "demo=null"), "has no section demo", id="no-demo"),
        pytest.param("pipeline.yaml", ("--set", "trainer.batch=1"), "trainer.batch: unknown key", id="config"),
    ],
)
def test_bad_usage_is_one_line(
    name: str, options: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _compile(tmp_path / name, *options) == 2
    assert message in capsys.readouterr().err


def test_submit_gets_what_the_command_line_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Submission] = []
    monkeypatch.setattr("pipeline.kubeflow.submit.submit", lambda submission, _: asked.append(submission) or 3)
    arguments = ["submit", "p.yaml", "--host", "http://kfp", "--experiment", "nightly", "--version", "v1", "--wait"]
    arguments += ["--timeout", "60", "--namespace", "team", "--service-account", "trainer"]
    assert kubeflow_runner.main(arguments) == 3
    assert asked == [
        Submission(
            Path("p.yaml"),
            "http://kfp",
            "nightly",
            version="v1",
            wait=True,
            timeout_s=60,
            namespace="team",
            service_account="trainer",
        )
    ]


def test_giving_up_on_a_run_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def give_up(*_: object) -> int:
        raise ReeflineError("run 1: lost the connection")

    monkeypatch.setattr("pipeline.kubeflow.submit.submit", give_up)
    arguments = ["submit", "pipeline.yaml", "--host", "http://kfp", "--experiment", "nightly", "--wait"]
    assert kubeflow_runner.main(arguments) == 1
    assert "error: run 1: lost the connection" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("--\x1b[2J",), id="option"),
        pytest.param(("\x1b[2J",), id="command"),
        pytest.param(("lint", "a.yaml", "\x1b[2J"), id="extra-argument"),
        pytest.param(("compile", "--target", "\x1b[2J"), id="value"),
    ],
)
def test_no_usage_error_prints_control_characters(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert kubeflow_runner.main(arguments) == 2
    printed = capsys.readouterr().err
    assert "\\x1b[2J" in printed and "\x1b" not in printed
