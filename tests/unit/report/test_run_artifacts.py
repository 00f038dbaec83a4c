from __future__ import annotations

import os
from pathlib import Path

import pytest

from reefline.lineage.records import ExecutionState, RunRecord
from reefline.report.run_artifacts import find_result, find_review, find_sources, find_unfinished_training
from reefline.report.sources import RunSources
from reefline.structures.artifacts import IngestionFolder, ModelRunFolder, ReviewFolder, ScoresFolder
from reefline.training.job import identify_training
from reefline.training.resumable_folder import open_unfinished
from tests.factories_lineage import make_artifact, make_execution, make_run

PROPERTIES = {"settings": "{}", "edge_tpu": "required", "code": "c0de", "start": "sha256:1"}


def _stop_training(root: Path, state: ExecutionState, **properties: str) -> RunRecord:
    examples = make_artifact(root / "VocExampleGen" / "examples" / "1")
    label_map = make_artifact(root / "VocExampleGen" / "label_map" / "1")
    return make_run(
        make_execution("VocExampleGen", outputs={"examples": examples, "label_map": label_map}),
        make_execution(
            "Trainer",
            state,
            properties={**PROPERTIES, **properties},
            inputs={"examples": examples, "label_map": label_map},
        ),
    )


def _open(root: Path) -> Path:
    home = root / "VocExampleGen"
    identity = identify_training(
        "{}", "required", "c0de", str(home / "examples" / "1"), str(home / "label_map" / "1"), "sha256:1"
    )
    with open_unfinished(root / "Trainer" / "model_run" / "7", identity) as folder:
        return folder


@pytest.mark.parametrize("state", [ExecutionState.FAILED, ExecutionState.RUNNING], ids=["stopped", "running"])
def test_the_work_of_an_unfinished_training_is_found(tmp_path: Path, state: ExecutionState) -> None:
    run = _stop_training(tmp_path, state)
    assert find_unfinished_training(run) is None
    folder = _open(tmp_path)
    assert find_unfinished_training(run) == ModelRunFolder(folder)
    assert find_sources(run, "{}").model_run == ModelRunFolder(folder)
    assert find_unfinished_training(_stop_training(tmp_path, state, code="other")) is None


@pytest.mark.parametrize(
    ("state", "after_s", "is_found"),
    [
        pytest.param(ExecutionState.FAILED, 0.5, True, id="its-own"),
        pytest.param(ExecutionState.FAILED, 60.0, False, id="resumed-later"),
        pytest.param(ExecutionState.RUNNING, 60.0, True, id="running"),
    ],
)
@pytest.mark.parametrize("name", ["job.json", "state.json", "history.jsonl", "training.json"])
def test_work_that_a_later_run_resumed_is_not_this_runs(
    tmp_path: Path, state: ExecutionState, after_s: float, is_found: bool, name: str
) -> None:
    run = _stop_training(tmp_path, state)
    written = _open(tmp_path) / name
    written.write_text("")
    trainer = run.executions[-1]
    time_s = (trainer.ended or trainer.started).timestamp() + after_s
    os.utime(written, (time_s, time_s))
    assert (find_unfinished_training(run) is not None) == is_found


def test_a_finished_training_has_no_unfinished_work(tmp_path: Path) -> None:
    _open(tmp_path)
    assert find_unfinished_training(_stop_training(tmp_path, ExecutionState.DONE)) is None
    assert find_unfinished_training(make_run()) is None
    assert find_unfinished_training(None) is None


def test_sources_hold_what_the_run_reached() -> None:
    report, scores, review = (make_artifact(f"/ws/{name}") for name in ("report", "scores", "review"))
    run = make_run(
        make_execution("VocExampleGen", outputs={"report": report}),
        make_execution("ModelScorer", outputs={"scores": scores}),
    )
    assert find_sources(run, "{}") == RunSources(
        config="{}", ingestion=IngestionFolder(Path("/ws/report")), scores=ScoresFolder(Path("/ws/scores"))
    )
    assert find_sources(None, "") == RunSources()
    assert find_review(run) is None
    reviewed = make_run(make_execution("ReviewReport", outputs={"review": review}))
    assert find_review(reviewed) == ReviewFolder(Path("/ws/review"))


def test_lineage_begins_at_the_bundle_or_the_last_artifact() -> None:
    examples, model, bundle = (make_artifact(name) for name in ("examples", "model", "bundle"))
    ingested = make_execution("VocExampleGen", outputs={"examples": examples})
    exported = make_execution("EdgeTpuExporter", outputs={"model": model})
    pushed = make_execution("Pusher", outputs={"pushed_model": bundle})
    reviewed = make_execution("ReviewReport", outputs={"review": make_artifact("review")})
    assert find_result(make_run(ingested, exported, pushed, reviewed)) == bundle
    assert find_result(make_run(ingested, exported)) == model
    assert find_result(make_run(ingested)) == examples
    assert find_result(make_run()) is None
