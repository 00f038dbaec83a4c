"""pipeline/local/dag_runner.py and collect.read_outputs on two small components, with TFX's own store and cache."""

from __future__ import annotations

from pathlib import Path

import pytest
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline

from pipeline.local.collect import read_outputs
from pipeline.local.dag_runner import DagRunner, NodeRun, NodeState
from reefline.errors import DataError
from tests.factories_pipeline import First, Second


def _run(folder: Path, *, run_id: str, first: str = "work", second: str = "work") -> tuple[DagRunner, list[NodeRun]]:
    reported: list[NodeRun] = []
    runner = DagRunner(run_id, reported.append)
    upstream = First(behaviour=first)
    downstream = Second(config=upstream.outputs["config"], behaviour=second)
    pipeline = Pipeline(
        pipeline_name="two",
        pipeline_root=str(folder / "artifacts"),
        components=[upstream, downstream],
        enable_cache=True,
        metadata_connection_config=sqlite_metadata_connection_config(str(folder / "metadata.db")),
    )
    try:
        runner.run(pipeline)
    except BaseException as error:
        error.runner = runner  # type: ignore[attr-defined]
        raise
    return runner, reported


def _files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in (folder / "artifacts").rglob("*") if p.is_file()}


def _states(runs: list[NodeRun]) -> list[tuple[str, str]]:
    return [(run.component, run.state.value) for run in runs]


def test_a_second_run_executes_nothing_and_finds_the_same_outputs(tmp_path: Path) -> None:
    first, reported = _run(tmp_path, run_id="one")
    assert _states(reported) == [("First", "started"), ("First", "done"), ("Second", "started"), ("Second", "done")]
    again, reported = _run(tmp_path, run_id="two")
    assert _states(reported) == [("First", "cached"), ("Second", "cached")]
    assert all(run.seconds > 0 for run in (*first.node_runs, *again.node_runs))
    outputs = [read_outputs(tmp_path / "metadata.db", runner.node_runs) for runner in (first, again)]
    assert outputs[0] == outputs[1]
    assert set(outputs[0]) == {"First.config", "Second.model"}
    assert outputs[0]["First.config"].properties["fact"] == 7
    assert (outputs[0]["Second.model"].folder / "copy.txt").is_file()


def test_a_change_redoes_only_what_depends_on_it(tmp_path: Path) -> None:
    _run(tmp_path, run_id="one")
    _, reported = _run(tmp_path, run_id="two", second="other work")
    assert _states(reported) == [("First", "cached"), ("Second", "started"), ("Second", "done")]


@pytest.mark.parametrize(
    ("behaviour", "kind", "message", "state"),
    [
        pytest.param("user_error", DataError, "dog_07.xml, object 2", NodeState.FAILED, id="user-error"),
        pytest.param("crash", RuntimeError, "something else", NodeState.FAILED, id="crash"),
        pytest.param("interrupt", KeyboardInterrupt, "", NodeState.STOPPED, id="interrupt"),
    ],
)
def test_a_failure_comes_through_as_it_is_and_leaves_nothing(
    tmp_path: Path, behaviour: str, kind: type[BaseException], message: str, state: NodeState
) -> None:
    with pytest.raises(kind, match=message) as caught:
        _run(tmp_path, run_id="one", second=behaviour)
    runner = caught.value.runner  # type: ignore[attr-defined]
    assert runner.broken_off_component == "Second"
    assert [run.state for run in runner.node_runs] == [NodeState.DONE, state]
    assert all(name.startswith("artifacts/First/") for name in _files(tmp_path))
    assert set(read_outputs(tmp_path / "metadata.db", runner.node_runs)) == {"First.config"}
    # The next run takes up where this one stopped.
    _, reported = _run(tmp_path, run_id="two")
    assert _states(reported) == [("First", "cached"), ("Second", "started"), ("Second", "done")]
