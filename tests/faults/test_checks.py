"""tests/faults/checks.py: a check that finds nothing torn is worth as much as what it would find."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.local.workspace import Workspace, open_workspace
from reefline.bundle.store import push_bundle
from tests.factories_evaluation import make_facts, write_candidate
from tests.factories_summary import make_blessed, write_run
from tests.faults.checks import find_leftovers, find_torn, find_unfinished
from tests.faults.state import FinalState, find_differences
from tests.live_process import record_run


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace with a bundle, a report, and ML Metadata of a run that is under way."""
    opened = open_workspace(tmp_path / "ws")
    push_bundle(write_candidate(tmp_path / "candidate"), make_facts(), opened.serving)
    write_run(opened.reports, make_blessed())
    record_run(opened.root, "20260102T120000")
    return opened


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        pytest.param(lambda w: _cut(w.serving / "detector/1/model_int8.tflite"), "model_int8.tflite", id="cut-model"),
        pytest.param(lambda w: (w.serving / "detector/1/labels.txt").unlink(), "labels.txt", id="missing-labels"),
        pytest.param(lambda w: (w.serving / "detector/1/x").touch(), "not in the manifest", id="unlisted-file"),
        pytest.param(lambda w: (w.serving / "detector/CURRENT").write_text("2\n"), "names version 2", id="current"),
        pytest.param(lambda w: _cut(w.reports / "20260102T120000/summary.json"), "summary.json", id="cut-json"),
        pytest.param(lambda w: _cut(w.reports / "20260102T120000/index.html"), "incomplete", id="cut-page"),
        pytest.param(lambda w: (w.reports / "latest").symlink_to("none"), "reports/latest", id="dangling-latest"),
        pytest.param(lambda w: w.metadata_db.write_bytes(b"SQLite format 3\0" + bytes(999)), "metadata.db", id="db"),
    ],
)
def test_what_is_torn_is_found(workspace: Workspace, damage: Callable[[Workspace], object], problem: str) -> None:
    (workspace.reports / "20260102T120000/index.html").write_text("<html></html>\n")
    assert find_torn(workspace.root) == []
    damage(workspace)
    assert any(problem in one for one in find_torn(workspace.root))


def test_an_execution_that_no_run_will_finish_is_found(workspace: Workspace) -> None:
    assert [one.partition(" of ")[2] for one in find_unfinished(workspace.root)] == ["Trainer is unfinished"]
    with sqlite3.connect(workspace.metadata_db) as connection:
        connection.execute("UPDATE Execution SET last_known_state = 3")
    assert find_unfinished(workspace.root) == []


def test_leftovers_are_found(workspace: Workspace) -> None:
    assert find_leftovers(workspace.root) == []
    (workspace.reports / ".summary.json.17.part").touch()
    (workspace.artifacts / "Trainer" / "model_run" / "99").mkdir(parents=True)
    assert find_leftovers(workspace.root) == [
        "reports/.summary.json.17.part: left behind",
        "artifacts/Trainer/model_run/99: belongs to no execution",
    ]


def test_states_differ_in_a_fact_or_far_apart_metrics() -> None:
    undisturbed = FinalState({"summary.verdict": "BLESSED"}, {"int8.mAP": 0.50, "float.mAP": 0.5})
    assert (
        find_differences(FinalState({"summary.verdict": "BLESSED"}, {"int8.mAP": 0.52, "float.mAP": 0.5}), undisturbed)
        == []
    )
    found = find_differences(FinalState({"summary.verdict": "FAILED"}, {"int8.mAP": 0.58}), undisturbed)
    assert found == [
        "summary.verdict is FAILED, undisturbed BLESSED",
        "float.mAP is nan, undisturbed 0.5",
        "int8.mAP is 0.58, undisturbed 0.5",
    ]
