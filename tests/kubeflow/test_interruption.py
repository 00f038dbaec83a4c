"""Training in a pod that is killed: KFP's launcher forwards no signal, and the pod's disk is gone."""

from __future__ import annotations

import json

import pytest

from tests.kubeflow.demo_cluster import SETTINGS, make_cluster
from tests.kubeflow.emulation.backend import Kill
from tests.kubeflow.emulation.forked import ForkedProcesses
from tests.kubeflow.emulation.records import TaskState
from tests.kubeflow.emulation.variants import NO_MLMD

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_a_killed_training_is_resumed_from_its_last_evaluation(
    tmp_path_factory: pytest.TempPathFactory, forked: ForkedProcesses
) -> None:
    cluster = make_cluster(tmp_path_factory.mktemp("killed"), NO_MLMD, forked)
    # Where the training was killed differs, and with it the data after that: no mAP may end it early.
    steps = {"trainer.num_steps": 40, "trainer.steps_per_eval": 3, "trainer.early_stopping_patience": None}
    package = cluster.compile(settings={**SETTINGS, **steps})
    work = cluster.root / "work"

    def was_evaluated() -> bool:
        """Whether the file that names the newest complete checkpoint exists; it is written after an evaluation."""
        return any(json.loads(path.read_text(encoding="utf-8"))["step"] > 0 for path in work.rglob("state.json"))

    killed = cluster.backend.run(package, kill=Kill("Trainer", was_evaluated))
    assert killed.names(TaskState.FAILED) == ["Trainer"]
    assert killed.tasks["Trainer"].exit_code == -9
    resumed = cluster.backend.run(package, until="Trainer")
    assert resumed.succeeded, resumed.explain()
    assert resumed.names(TaskState.DONE) == ["ResolveData", "Trainer"]
    log = resumed.tasks["Trainer"].log
    assert "Resuming from step" in log, log
    assert "Resuming from step 0" not in log
    report = cluster.root / "store" / resumed.tasks["Trainer"].outputs.artifacts["model_run"].uri.replace("://", "/")
    evaluated = [
        one["step"] for one in json.loads((report / "training.json").read_text(encoding="utf-8"))["evaluations"]
    ]
    assert evaluated == [*range(3, 40, 3), 40]
