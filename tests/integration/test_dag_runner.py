"""pipeline/local/dag_runner.py and reefline/lineage on two small components, with TFX's own store and cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline

from pipeline.local.dag_runner import DagRunner, NodeRun, NodeState
from reefline.errors import DataError
from reefline.lineage.records import ExecutionState, Maker
from reefline.lineage.store import read_run, read_runs
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
    second, one = read_runs(tmp_path / "metadata.db")
    assert (one.run_id, second.run_id) == ("one", "two")
    assert second.outputs == one.outputs
    assert set(one.outputs) == {"First.config", "Second.model"}
    assert one.outputs["First.config"].properties["fact"] == 7
    assert (one.outputs["Second.model"].folder / "copy.txt").is_file()
    assert [run.execution_id for run in (*first.node_runs, *again.node_runs)] == [
        execution.id for execution in (*one.executions, *second.executions)
    ]


def test_a_cached_artifact_names_the_run_that_made_it(tmp_path: Path) -> None:
    for run_id in ("one", "two"):
        _run(tmp_path, run_id=run_id)
    # Read alone, so that the maker's run is another one.
    run = read_run(tmp_path / "metadata.db", "two")
    assert run is not None
    assert run == read_runs(tmp_path / "metadata.db")[0]
    execution = run.find("Second")
    assert execution is not None
    assert (execution.state, execution.properties["behaviour"]) == (ExecutionState.CACHED, "work")
    assert execution.ended is not None and run.started <= execution.started <= execution.ended
    assert execution.inputs == {"config": run.outputs["First.config"]}
    steps = [(artifact.type, artifact.maker) for artifact in run.walk_back(run.outputs["Second.model"])]
    assert steps == [("Model", Maker(2, "Second", "one")), ("Config", Maker(1, "First", "one"))]


def test_a_run_that_never_was_is_none(tmp_path: Path) -> None:
    assert read_runs(tmp_path / "metadata.db") == ()
    _run(tmp_path, run_id="one")
    assert read_run(tmp_path / "metadata.db", "two") is None


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
    (run,) = read_runs(tmp_path / "metadata.db")
    assert [execution.state for execution in run.executions] == [ExecutionState.DONE, ExecutionState.FAILED]
    assert set(run.outputs) == {"First.config"}
    # The next run takes up where this one stopped.
    _, reported = _run(tmp_path, run_id="two")
    assert _states(reported) == [("First", "cached"), ("Second", "started"), ("Second", "done")]


def test_a_run_loads_no_execution_of_earlier_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TFX's own way loads all of them for each input: seconds per run after 200 runs."""
    from ml_metadata import MetadataStore

    for run_id in ("one", "two", "three"):
        _run(tmp_path, run_id=run_id)
    loaded: list[int] = []
    real = MetadataStore.get_executions_by_context, MetadataStore.get_executions

    def count(function: Callable[..., list[object]]) -> Callable[..., list[object]]:
        def counting(*arguments: object, **named: object) -> list[object]:
            found = function(*arguments, **named)
            loaded.append(len(found))
            return found

        return counting

    monkeypatch.setattr(MetadataStore, "get_executions_by_context", count(real[0]))
    monkeypatch.setattr(MetadataStore, "get_executions", count(real[1]))
    _run(tmp_path, run_id="four", first="other work")
    assert loaded and max(loaded) <= 1


@pytest.mark.parametrize("state", ["NEW", "RUNNING"])
def test_what_a_killed_run_left_is_abandoned(tmp_path: Path, state: str) -> None:
    from ml_metadata import MetadataStore
    from ml_metadata.proto import metadata_store_pb2

    _run(tmp_path, run_id="one")
    store = MetadataStore(sqlite_metadata_connection_config(str(tmp_path / "metadata.db")))
    (execution,) = store.get_executions_by_id([2])
    execution.last_known_state = metadata_store_pb2.Execution.State.Value(state)
    store.put_executions([execution])
    _, reported = _run(tmp_path, run_id="two")
    assert _states(reported) == [("First", "cached"), ("Second", "started"), ("Second", "done")]
    assert not (tmp_path / "artifacts" / "Second" / "model" / "2").exists()
    states = {
        execution.id: execution.state for run in read_runs(tmp_path / "metadata.db") for execution in run.executions
    }
    assert states[2] is ExecutionState.FAILED
