"""`reefline gc`."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reefline.bundle.store import push_bundle, read_current
from reefline.cleanup import plan as plan_module
from reefline.cleanup import removal
from reefline.cli import app
from reefline.evaluation.report import EvaluationReport
from reefline.system.lock_file import hold_workspace
from tests.factories_evaluation import make_facts, make_scores, write_candidate
from tests.factories_workspace import WorkspaceFactory


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    factory = WorkspaceFactory(tmp_path / "ws")
    monkeypatch.setattr(plan_module, "read_runs", lambda _metadata_db: factory.runs)
    for _ in range(3):
        factory.add()
    return factory.root


def gc(*arguments: str | Path):
    return CliRunner().invoke(app, ["gc", *map(str, arguments)])


def _files(folder: Path) -> list[str]:
    return sorted(path.as_posix() for path in folder.rglob("*") if path.name not in (".lock", ".index.json"))


def test_a_dry_run_shows_the_same_and_removes_nothing(workspace: Path) -> None:
    before = _files(workspace)
    planned = gc("--keep", "1", "--workspace", workspace, "--dry-run")
    assert planned.exit_code == 0, planned.output
    assert _files(workspace) == before
    removed = gc("--keep", "1", "--workspace", workspace)
    assert removed.exit_code == 0, removed.output
    *table, freed, kept = removed.stdout.splitlines()
    assert planned.stdout.splitlines()[:-2] == table
    assert table[1].split() == ["artifacts", "6", "6.0", "kB"]
    assert freed.startswith("Freed ") and kept == "Kept 1 of 3 runs."
    assert planned.stdout.splitlines()[-1] == "Would keep 1 of 3 runs."
    assert len(_files(workspace)) < len(before)


def test_a_workspace_with_a_run_under_way_is_left_alone(workspace: Path) -> None:
    before = _files(workspace)
    with hold_workspace(workspace, "20260301T120009"):
        result = gc("--keep", "1", "--workspace", workspace)
    assert result.exit_code == 2
    assert "in use by another run (process " in result.stderr
    assert _files(workspace) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            ["--keep", "1", "--workspace", "nowhere"], "nowhere: no runs here; pass --workspace DIR", id="none"
        ),
        pytest.param([], "Missing option '--keep'", id="no-number"),
        pytest.param(["--keep", "0"], "greater than or equal to 1", id="zero"),
        pytest.param(
            ["--keep", "1", "--serving", "workspace/serving"],
            "--serving workspace/serving: a folder of this machine, where a run may be under way; use --workspace DIR",
            id="local-serving",
        ),
        pytest.param(
            ["--keep", "1", "--serving", "s3://bucket/serving", "--workspace", "workspace"],
            "--workspace, --serving: each names a place to clean; pass one of them",
            id="both",
        ),
        pytest.param(["--keep", "1", "--serving", "hdfs://a/b"], "hdfs:// is not supported", id="scheme"),
    ],
)
def test_errors_say_what_to_do(arguments: list[str], message: str) -> None:
    result = gc(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        pytest.param(errno.EACCES, "fix its permissions, and run the same command again", id="permission"),
        pytest.param(errno.EPERM, "fix its permissions, and run the same command again", id="owner"),
        pytest.param(errno.EROFS, "fix its permissions, and run the same command again", id="read-only"),
        pytest.param(errno.EIO, "correct this, then run the same command again", id="disk"),
        pytest.param(errno.ENOTEMPTY, "correct this, then run the same command again", id="not-empty"),
    ],
)
def test_what_cannot_be_removed_is_named(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, number: int, advice: str
) -> None:
    def fail(folder: Path) -> None:
        raise OSError(number, os.strerror(number), str(folder))

    monkeypatch.setattr(removal, "remove_folder", fail)
    result = gc("--keep", "1", "--workspace", workspace)
    assert result.exit_code == 2
    assert result.stderr.endswith(f"/1: {os.strerror(number)}; {advice}\n")


def test_bundles_of_an_object_store(tmp_path: Path, s3_folder: str) -> None:
    for version in range(1, 5):
        candidate = write_candidate(tmp_path / str(version), content=str(version).encode())
        facts = make_facts(evaluation=EvaluationReport(make_scores(baseline_version=version - 1), ()))
        push_bundle(candidate, facts, s3_folder)
    assert gc("--keep", "3", "--serving", s3_folder).stdout.splitlines()[1].split()[:2] == ["bundles", "1"]
    assert gc("--keep", "1", "--serving", s3_folder).stdout.splitlines()[1].split()[:2] == ["bundles", "1"]
    assert gc("--keep", "1", "--serving", s3_folder).stdout.splitlines()[1].split()[:2] == ["bundles", "0"]
    assert read_current(s3_folder, "detector") == 4
