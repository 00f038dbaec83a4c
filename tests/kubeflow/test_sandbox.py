"""A pod's own file system, user and network, as far as this machine allows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.kubeflow.contract import IMAGE_HOME
from tests.factories_kfp_steps import Step, make_spec
from tests.kubeflow.demo_cluster import NEVER_CACHED, executed, make_cluster
from tests.kubeflow.emulation.backend import REPO_DIR, Backend
from tests.kubeflow.emulation.package import make_package
from tests.kubeflow.emulation.records import TaskRun
from tests.kubeflow.emulation.sandbox import SandboxedProcesses, why_not
from tests.kubeflow.emulation.variants import KFP_2_17, NO_MLMD

pytestmark = pytest.mark.skipif(bool(why_not()), reason=f"no sandbox: {why_not()}")


def _run(tmp_path: Path, script: str) -> TaskRun:
    steps = [
        Step(
            "Write",
            'mkdir "$1"; echo hello > "$1/file"',
            output_artifacts=("made",),
            arguments=("{{$.outputs.artifacts['made'].path}}",),
        ),
        Step("Look", script, artifacts={"given": "Write.made"}, arguments=("{{$.inputs.artifacts['given'].path}}",)),
    ]
    run = Backend(tmp_path, KFP_2_17, SandboxedProcesses(REPO_DIR, IMAGE_HOME)).run(make_package([make_spec(*steps)]))
    assert run.succeeded, run.explain()
    return run.tasks["Look"]


def test_artifacts_are_where_the_launcher_of_kfp_puts_them(tmp_path: Path) -> None:
    log = _run(tmp_path, 'echo "$1"; cat "$1/file"').log
    assert log.startswith("/minio/mlpipeline/v2/artifacts/small/") and log.endswith("/made\nhello\n")


def test_the_user_is_not_root_and_sees_nothing_of_this_machine(tmp_path: Path) -> None:
    assert os.geteuid() == 0
    log = _run(tmp_path, f"id -u; pwd; test ! -e {tmp_path} && test ! -e /root/.ssh && echo hidden").log
    assert log == "1000\n/app\nhidden\n"


def test_the_code_is_read_only(tmp_path: Path) -> None:
    log = _run(
        tmp_path, "test -f /app/pyproject.toml && ! touch /app/x 2> /dev/null && touch /tmp/x && echo refused"
    ).log
    assert log == "refused\n"
    assert not (REPO_DIR / "x").exists()


def test_there_is_no_network(tmp_path: Path) -> None:
    log = _run(tmp_path, "cat /proc/net/dev | tail -n +3 | cut -d: -f1").log
    assert log.split() == ["lo"]


@pytest.mark.e2e
@pytest.mark.slow
def test_the_demo_in_a_sandbox(tmp_path: Path) -> None:
    """Every task is a new process here: nothing is imported before, and nothing can be fetched."""
    cluster = make_cluster(tmp_path, NO_MLMD, SandboxedProcesses(REPO_DIR, IMAGE_HOME))
    package = cluster.compile()
    run = cluster.backend.run(package)
    assert run.succeeded, run.explain()
    summary = cluster.summary(run)
    assert (summary["verdict"], summary["pushed"]) == ("BLESSED", {"version": 1, "path": "/mnt/volume/serving/demo/1"})
    assert cluster.manifest(1)["run_id"] == run.run_id
    checkpoint = run.tasks["Trainer"].outputs.artifacts["model_run"].uri
    assert cluster.manifest(1)["checkpoint"].startswith(f"{checkpoint}/")
    assert executed(cluster.backend.run(package)) == NEVER_CACHED
