"""`reefline rollback` through the command line."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reefline.bundle.store import PushRecord, push_bundle, read_current, rollback
from reefline.cli import app
from reefline.evaluation.report import EvaluationReport
from tests.factories_evaluation import make_facts, make_scores, write_candidate


def _push(folder: Path, serving: str | Path, version: int, **facts: object) -> PushRecord:
    """Push the model of a version, compared with the one before."""
    candidate = write_candidate(folder / f"candidate {version}", content=str(version).encode())
    evaluation = EvaluationReport(make_scores(baseline_version=version - 1), ())
    return push_bundle(candidate, make_facts(evaluation=evaluation, **facts), serving)


@pytest.mark.parametrize("remote", [False, True], ids=["workspace", "uri"])
def test_the_previous_version_serves(tmp_path: Path, s3_folder: str, remote: bool) -> None:
    serving = s3_folder if remote else tmp_path / "serving"
    for version in (1, 2):
        assert _push(tmp_path, serving, version).version == version
    result = CliRunner().invoke(
        app, ["rollback", *(["--serving", s3_folder] if remote else ["--workspace", str(tmp_path)])]
    )
    assert result.exit_code == 0, result.output
    assert result.stdout == "Rolled back detector to version 1; version 2 is withdrawn.\n"
    assert read_current(serving, "detector") == 1


@pytest.mark.parametrize("remote", [False, True], ids=["folder", "uri"])
def test_the_command_that_a_message_names_works_as_it_is(tmp_path: Path, s3_folder: str, remote: bool) -> None:
    serving = s3_folder if remote else tmp_path / "my bundles"
    _push(tmp_path, serving, 1, model="other")
    for version in (1, 2):
        _push(tmp_path, serving, version)
    rollback(serving, "detector")
    _, _, command = _push(tmp_path, serving, 2).reason.partition("To serve it again: reefline ")
    result = CliRunner().invoke(app, shlex.split(command))
    assert result.exit_code == 0, result.output
    assert read_current(serving, "detector") == 2


@pytest.mark.parametrize(
    ("models", "message"),
    [
        pytest.param([], "no model is served here; pass --workspace DIR or --serving URI", id="none"),
        pytest.param(["a", "b"], "2 models are served (a, b); pass --model NAME", id="two"),
        pytest.param(["a"], "nothing to roll back", id="nothing-serves"),
    ],
)
def test_errors_say_what_to_do(tmp_path: Path, models: list[str], message: str) -> None:
    for model in models:
        (tmp_path / "serving" / model).mkdir(parents=True)
    result = CliRunner().invoke(app, ["rollback", "--workspace", str(tmp_path)])
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        pytest.param("s3://reefline/nothing-was-pushed-here", "no model is served here", id="empty"),
        pytest.param("s3://no-such-bucket", "no such bucket", id="no-bucket"),
        pytest.param("hdfs://host/serving", "hdfs:// is not supported", id="scheme"),
    ],
)
def test_errors_of_uris_are_one_line(s3_folder: str, uri: str, message: str) -> None:
    result = CliRunner().invoke(app, ["rollback", "--serving", uri])
    assert result.exit_code == 2
    assert message in result.output and uri in result.output


def test_a_chosen_version_serves(tmp_path: Path) -> None:
    candidate = write_candidate(tmp_path / "1", content=b"1")
    push_bundle(candidate, make_facts(), tmp_path / "serving")
    (tmp_path / "serving" / "detector" / "CURRENT").unlink()
    result = CliRunner().invoke(app, ["rollback", "--workspace", str(tmp_path), "--to", "1"])

    assert result.exit_code == 0, result.output
    assert result.stdout == "Version 1 of detector serves.\n"
