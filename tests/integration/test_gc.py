"""`reefline gc` against TFX's own store and cache: what stays is found there, what goes is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline

from pipeline.local.dag_runner import DagRunner
from reefline.cleanup import removal
from reefline.cleanup.plan import plan_cleanup
from reefline.cleanup.removal import remove_planned
from reefline.lineage.deletion import mark_deleted
from reefline.lineage.store import read_runs
from tests.factories_pipeline import First, Second
from tests.factories_summary import make_blessed, write_run


def _run(workspace: Path, number: int, second: str) -> list[str]:
    """Run two components and write a report; return the states of the components."""
    run_id = f"20260301T12000{number}"
    upstream = First(behaviour="work")
    pipeline = Pipeline(
        pipeline_name="two",
        pipeline_root=str(workspace / "artifacts"),
        components=[upstream, Second(config=upstream.outputs["config"], behaviour=second)],
        enable_cache=True,
        metadata_connection_config=sqlite_metadata_connection_config(str(workspace / "metadata.db")),
    )
    runner = DagRunner(run_id, lambda _run: None)
    runner.run(pipeline)
    write_run(workspace / "reports", make_blessed(run_id))
    return [run.state.value for run in runner.node_runs]


def _artifacts(workspace: Path) -> list[str]:
    return sorted(path.parent.as_posix().rpartition("artifacts/")[2] for path in workspace.rglob("half.txt"))


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Return a workspace of three runs: the third is cached, except for what the second did."""
    assert _run(tmp_path, 1, "one") == ["done", "done"]
    assert _run(tmp_path, 2, "two") == ["cached", "done"]
    assert _run(tmp_path, 3, "two") == ["cached", "cached"]
    return tmp_path


def test_the_next_run_finds_what_stays_and_redoes_what_went(workspace: Path) -> None:
    remove_planned(plan_cleanup(workspace, 1))
    assert _artifacts(workspace) == ["First/config/1", "Second/model/4"]
    assert not list(workspace.glob("artifacts/*/.system/*/*"))
    assert _run(workspace, 4, "two") == ["cached", "cached"]
    assert _run(workspace, 5, "one") == ["cached", "done"]
    assert _run(workspace, 6, "one") == ["cached", "cached"]


def test_artifacts_that_went_are_marked_and_no_others(workspace: Path) -> None:
    states = _read_states(workspace)
    remove_planned(plan_cleanup(workspace, 1))
    assert _read_states(workspace) == states | {"Second/model/2": "DELETED"}
    # A mark changes when an artifact was updated, so a second clean-up must not set it again.
    remove_planned(plan_cleanup(workspace, 1))
    assert [run.run_id[-1] for run in read_runs(workspace / "metadata.db")] == ["3", "2", "1"]


def _read_states(workspace: Path) -> dict[str, str]:
    from ml_metadata import MetadataStore
    from ml_metadata.proto import metadata_store_pb2

    store = MetadataStore(sqlite_metadata_connection_config(str(workspace / "metadata.db")))
    name = metadata_store_pb2.Artifact.State.Name
    return {artifact.uri.rpartition("artifacts/")[2]: name(artifact.state) for artifact in store.get_artifacts()}


def test_an_artifact_whose_folder_still_exists_is_not_marked(workspace: Path) -> None:
    """TFX would reuse it, and then refuse it as an input. A link is left alone."""
    (gone,) = plan_cleanup(workspace, 1).gone_artifacts.values()
    gone.symlink_to(gone.rename(workspace / "on another disk"))
    remove_planned(plan_cleanup(workspace, 1))
    assert gone.is_symlink()
    assert "DELETED" not in _read_states(workspace).values()
    assert _run(workspace, 4, "one") == ["cached", "cached"]


@pytest.mark.parametrize("step", ["remove_folder", "mark_deleted", "remove_superseded", "write_index"])
@pytest.mark.parametrize("behaviour", ["one", "two"], ids=["what-went", "what-stays"])
def test_a_killed_clean_up_leaves_a_workspace_that_runs(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, step: str, behaviour: str
) -> None:
    real: Callable[..., None] = getattr(removal, step)

    def die_after(*arguments: object) -> None:
        real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(removal, step, die_after)
    with pytest.raises(KeyboardInterrupt):
        remove_planned(plan_cleanup(workspace, 1))
    assert _run(workspace, 4, behaviour) == ["cached", "done" if behaviour == "one" else "cached"]


def test_nothing_to_mark_opens_nothing(tmp_path: Path) -> None:
    mark_deleted(tmp_path / "metadata.db", [1])
    mark_deleted(tmp_path / "metadata.db", [])
    assert not (tmp_path / "metadata.db").exists()
