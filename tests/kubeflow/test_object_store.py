"""Data, bundles and reports in an object store (moto's S3): the verdicts of a volume, and one winner of two pushes."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from reefline.bundle.store import read_bundle_manifest, read_current
from reefline.storage.opening import open_storage
from reefline.storage.transfer import upload_tree
from tests.kubeflow.demo_cluster import NEVER_CACHED, SETTINGS, DemoCluster, executed, make_cluster
from tests.kubeflow.emulation.backend import Backend
from tests.kubeflow.emulation.forked import ForkedProcesses
from tests.kubeflow.emulation.package import Package
from tests.kubeflow.emulation.processes import PlainProcesses
from tests.kubeflow.emulation.records import RunRecord, TaskState
from tests.kubeflow.emulation.variants import NO_MLMD
from tests.s3_server import BUCKET, S3Server

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ROOT = f"s3://{BUCKET}/conformance"
SERVING, REPORTS = f"{ROOT}/serving", f"{ROOT}/reports"


@pytest.fixture(scope="module", autouse=True)
def store_environment(s3_server: S3Server) -> Iterator[None]:
    """Let the tests themselves reach the store; pods get it by a secret and the config's `env`."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3_server.environment.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, forked: ForkedProcesses, store_environment: None) -> DemoCluster:
    made = make_cluster(tmp_path_factory.mktemp("s3"), NO_MLMD, forked)
    upload_tree(made.data, open_storage(f"{ROOT}/data"))
    return made


def _compile(cluster: DemoCluster, s3_server: S3Server, settings: Mapping[str, Any] = SETTINGS) -> Package:
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    kubeflow = {
        "volumes": [],
        "secrets": [{"name": "store", "env": {name.lower(): name for name in keys}}],
        "env": {name: value for name, value in s3_server.environment.items() if name not in keys},
    }
    return cluster.compile(data=f"{ROOT}/data", serving=SERVING, settings=settings, kubeflow=kubeflow)


@pytest.fixture(scope="module")
def backend(cluster: DemoCluster, s3_server: S3Server) -> Backend:
    secret = {name.lower(): value for name, value in s3_server.environment.items()}
    return dataclasses.replace(cluster.backend, secrets={"store": secret})


@pytest.fixture(scope="module")
def first(cluster: DemoCluster, backend: Backend, s3_server: S3Server) -> RunRecord:
    run = backend.run(_compile(cluster, s3_server))
    assert run.succeeded, run.explain()
    return run


def _summary(run: RunRecord) -> dict[str, Any]:
    content = open_storage(f"{REPORTS}/{run.run_id}").read("summary.json")
    assert content is not None
    found: dict[str, Any] = json.loads(content.data)
    return found


def test_the_first_model_is_pushed_into_the_store(first: RunRecord) -> None:
    """Path("s3://…") was a folder of the pod, and the push was reported as done."""
    assert _summary(first)["verdict"] == "BLESSED"
    assert _summary(first)["pushed"] == {"version": 1, "path": f"{SERVING}/demo/1"}
    assert read_current(SERVING, "demo") == 1
    assert read_bundle_manifest(SERVING, "demo", 1).facts.run_id == first.run_id


def test_a_second_run_is_cached(cluster: DemoCluster, backend: Backend, first: RunRecord, s3_server: S3Server) -> None:
    assert executed(backend.run(_compile(cluster, s3_server))) == NEVER_CACHED


def test_a_refused_model_is_not_pushed(
    cluster: DemoCluster, backend: Backend, first: RunRecord, s3_server: S3Server
) -> None:
    run = backend.run(_compile(cluster, s3_server, {**SETTINGS, "gate.min_map": 0.99}))
    assert (_summary(run)["verdict"], _summary(run)["pushed"]) == ("NOT_BLESSED", None)
    assert run.succeeded and read_current(SERVING, "demo") == 1


def test_two_pushes_at_the_same_time_have_one_winner(
    cluster: DemoCluster, backend: Backend, first: RunRecord, s3_server: S3Server, tmp_path: Path
) -> None:
    """Both runs compared their candidate with version 1; the later one must not replace what it never saw."""
    pushers = []
    for number in (20, 30):
        package = _compile(cluster, s3_server, {**SETTINGS, "exporter.max_detections": number})
        run = backend.run(package, until="Evaluator")
        assert run.succeeded, run.explain()
        root = tmp_path / str(number)
        (root / "store").parent.mkdir(parents=True)
        (root / "store").symlink_to(backend.root / "store")
        pushers.append((dataclasses.replace(backend, root=root, processes=PlainProcesses()), package))
    runs: list[RunRecord] = []
    # ResolveServing runs again in each, before either pushes; the rest is cached.
    threads = [
        threading.Thread(target=lambda one=one, package=package: runs.append(one.run(package, until="Pusher")))
        for one, package in pushers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    states = sorted(run.tasks["Pusher"].state for run in runs)
    assert states == [TaskState.DONE, TaskState.FAILED], [run.explain() for run in runs]
    (loser,) = (run.tasks["Pusher"] for run in runs if run.tasks["Pusher"].state is TaskState.FAILED)
    assert loser.exit_code == 2 and "Traceback" not in loser.log, loser.log
    assert read_current(SERVING, "demo") == 2
