"""The demo on an emulated backend, compared with the same data on a workstation. Each run builds on the one before."""

from __future__ import annotations

import json
import re
import shutil
from typing import Any

import pytest

from reefline.bundle.store import rollback
from reefline.config.run_config import CONFIG_DIR
from tests.factories_runs import PipelineRun, run_pipeline
from tests.kubeflow.demo_cluster import NEVER_CACHED, SETTINGS, DemoCluster, executed, make_cluster
from tests.kubeflow.emulation.forked import ForkedProcesses
from tests.kubeflow.emulation.package import Package
from tests.kubeflow.emulation.records import RunRecord
from tests.kubeflow.emulation.variants import KFP_2_17

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

# What two runs of the same training differ in.
OWN = {"run_id", "created", "checkpoint", "version"}
ANOTHER_EXPORT = {**SETTINGS, "exporter.max_detections": 20}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, forked: ForkedProcesses) -> DemoCluster:
    return make_cluster(tmp_path_factory.mktemp("cluster"), KFP_2_17, forked)


@pytest.fixture(scope="module")
def package(cluster: DemoCluster) -> Package:
    return cluster.compile()


@pytest.fixture(scope="module")
def first(cluster: DemoCluster, package: Package) -> RunRecord:
    run = cluster.backend.run(package)
    assert run.succeeded, run.explain()
    return run


@pytest.fixture(scope="module")
def local(cluster: DemoCluster, tmp_path_factory: pytest.TempPathFactory) -> PipelineRun:
    config = ("--config", CONFIG_DIR / "demo.yaml", "--data", cluster.data)
    return run_pipeline(tmp_path_factory.mktemp("local") / "ws", *config, settings=SETTINGS)


@pytest.fixture(scope="module")
def second(cluster: DemoCluster, package: Package, first: RunRecord) -> RunRecord:
    return cluster.backend.run(package)


def _common(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key not in OWN}


def test_the_run_ends_as_on_a_workstation(cluster: DemoCluster, first: RunRecord, local: PipelineRun) -> None:
    found, expected = cluster.summary(first), local.summary
    assert found["run_id"] == first.run_id
    for key in ("verdict", "failure", "model", "data", "metrics", "gate", "edgetpu"):
        assert found[key] == expected[key], key
    assert {**found["training"], "seconds": 0} == {**expected["training"], "seconds": 0}
    assert set(found["seconds"]) == set(expected["seconds"])


def test_the_bundle_is_that_of_a_workstation(cluster: DemoCluster, first: RunRecord, local: PipelineRun) -> None:
    there = local.workspace / "serving" / "demo" / "1"
    found, expected = cluster.manifest(1), json.loads((there / "manifest.json").read_text(encoding="utf-8"))
    assert found.keys() == expected.keys()
    assert _common(found) == _common(expected)
    assert (cluster.serving / "1" / "labels.txt").read_bytes() == (there / "labels.txt").read_bytes()


def test_the_manifest_names_the_run_and_a_checkpoint_that_outlives_the_pod(
    cluster: DemoCluster, first: RunRecord
) -> None:
    manifest = cluster.manifest(1)
    assert manifest["run_id"] == first.run_id
    run = first.tasks["Trainer"].outputs.artifacts["model_run"].uri
    assert manifest["checkpoint"].startswith(f"{run}/")
    assert list((cluster.root / "store").glob(f"{manifest['checkpoint'].replace('://', '/')}*"))


def test_no_path_of_a_pod_is_recorded(cluster: DemoCluster, first: RunRecord) -> None:
    recorded = json.dumps([dict(artifact.metadata) for artifact in cluster.backend.records.artifacts])
    assert str(cluster.root / "pods") not in recorded
    assert not re.search(r"\"/(minio|s3|gcs)/", recorded)


def test_only_what_is_read_is_fetched(first: RunRecord) -> None:
    readers = [name for name, task in first.tasks.items() if "examples" in task.downloaded]
    assert sorted(readers) == ["EdgeTpuExporter", "ModelScorer", "StatisticsGen", "Trainer"]


def test_the_page_and_the_metrics_are_outputs_that_kfp_shows(cluster: DemoCluster, first: RunRecord) -> None:
    outputs = first.tasks["RunSummary"].outputs.artifacts
    assert {key: one.title for key, one in outputs.items()} == {
        "summary": "system.Artifact", "page": "system.HTML", "metrics": "system.Metrics"
    }  # fmt: skip
    page = (cluster.root / "store" / outputs["page"].uri.replace("://", "/")).read_text(encoding="utf-8")
    assert page.startswith(("<!doctype html>", "<!DOCTYPE html>"))
    metrics = outputs["metrics"].metadata
    assert metrics["blessed"] == 1 and metrics["int8_mAP"] == cluster.summary(first)["metrics"]["int8"]["mAP"]


def test_nothing_changed_runs_resolvers_pusher_and_summary_only(second: RunRecord) -> None:
    assert executed(second) == NEVER_CACHED


def test_forced_caching_runs_the_same_tasks(cluster: DemoCluster, package: Package, second: RunRecord) -> None:
    assert executed(cluster.backend.run(package, enable_caching=True)) == NEVER_CACHED


def test_a_second_run_pushes_nothing_and_says_what_serves(cluster: DemoCluster, second: RunRecord) -> None:
    assert [path.name for path in cluster.serving.iterdir() if path.is_dir()] == ["1"]
    assert cluster.summary(second)["pushed"] == {"version": 1, "path": str(cluster.serving / "1")}
    seconds = cluster.summary(second)["seconds"]
    assert [name for name, value in seconds.items() if value] == ["Pusher"]


def test_the_same_content_at_another_path_is_cached(cluster: DemoCluster, second: RunRecord) -> None:
    moved = shutil.copytree(cluster.data, cluster.data.with_name("moved"), copy_function=shutil.copyfile)
    assert executed(cluster.backend.run(cluster.compile(data=str(moved)))) == NEVER_CACHED


def test_a_gate_that_refuses_is_a_succeeded_run_with_nothing_pushed(cluster: DemoCluster, second: RunRecord) -> None:
    run = cluster.backend.run(cluster.compile(settings={**SETTINGS, "gate.min_map": 0.99}))
    assert executed(run) == ["ResolveData", "ResolveServing", "Evaluator", "Pusher", "ReviewReport", "RunSummary"]
    summary = cluster.summary(run)
    assert (summary["verdict"], summary["pushed"]) == ("NOT_BLESSED", None)
    assert [path.name for path in cluster.serving.iterdir() if path.is_dir()] == ["1"]


@pytest.mark.parametrize("enable_caching", [pytest.param(None, id="as compiled"), pytest.param(True, id="forced")])
def test_a_deleted_bundle_is_pushed_again_without_training(
    cluster: DemoCluster, package: Package, second: RunRecord, enable_caching: bool | None
) -> None:
    shutil.rmtree(cluster.serving)
    run = cluster.backend.run(package, enable_caching=enable_caching)
    assert executed(run) == NEVER_CACHED
    assert (cluster.serving / "CURRENT").read_text().strip() == "1"
    assert cluster.summary(run)["pushed"] == {"version": 1, "path": str(cluster.serving / "1")}


@pytest.fixture(scope="module")
def newer(cluster: DemoCluster, second: RunRecord) -> RunRecord:
    """Another export of the same training, pushed next to version 1."""
    run = cluster.backend.run(cluster.compile(settings=ANOTHER_EXPORT))
    assert run.succeeded, run.explain()
    return run


def test_another_export_is_compared_with_what_serves(cluster: DemoCluster, first: RunRecord, newer: RunRecord) -> None:
    exported = ["ResolveData", "EdgeTpuPreflight", "EdgeTpuExporter", "ResolveServing", "ServingBundle", "ModelScorer"]
    assert executed(newer) == [*exported, "Evaluator", "Pusher", "ReviewReport", "RunSummary"]
    summary = cluster.summary(newer)
    assert summary["pushed"]["version"] == 2
    assert summary["metrics"]["baseline"] == cluster.summary(first)["metrics"]["int8"]


@pytest.mark.parametrize("enable_caching", [pytest.param(None, id="as compiled"), pytest.param(True, id="forced")])
def test_a_roll_back_redoes_baseline_and_scoring(
    cluster: DemoCluster, newer: RunRecord, enable_caching: bool | None
) -> None:
    """A candidate that the gate refuses is compared with version 2, and after the roll-back with version 1."""
    (cluster.serving / "CURRENT").write_text("2\n")
    max_detections = 30 if enable_caching else 40
    settings = {**SETTINGS, "exporter.max_detections": max_detections, "gate.min_map": 0.99}
    package = cluster.compile(settings=settings)
    refused = cluster.backend.run(package, enable_caching=enable_caching)
    assert "ServingBundle" in executed(refused)
    assert executed(cluster.backend.run(package, enable_caching=enable_caching)) == NEVER_CACHED
    rollback(cluster.serving.parent, "demo")
    redone = cluster.backend.run(package, enable_caching=enable_caching)
    assert executed(redone)[:4] == ["ResolveData", "ResolveServing", "ServingBundle", "ModelScorer"]
    assert "Trainer" not in executed(redone) and "EdgeTpuExporter" not in executed(redone)
