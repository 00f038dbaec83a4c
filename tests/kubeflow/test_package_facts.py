"""What was found about TFX packages on KFP: each fact fails here without its cure. No task here trains."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.kubeflow.compile import compile_to_file, read_request
from reefline.config.run_config import CONFIG_DIR
from reefline.data.fingerprint import fingerprint_data
from reefline.errors import ConfigError
from reefline.settings import IngestionSettings
from tests.kubeflow.demo_cluster import IMAGE, NEVER_CACHED, SETTINGS, DemoCluster, make_cluster
from tests.kubeflow.emulation.backend import Backend
from tests.kubeflow.emulation.forked import ForkedProcesses
from tests.kubeflow.emulation.package import Package
from tests.kubeflow.emulation.processes import PlainProcesses
from tests.kubeflow.emulation.records import TaskRun, TaskState
from tests.kubeflow.emulation.variants import KFP_2_17, VARIANTS

UNTIL = "VocExampleGen"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, forked: ForkedProcesses) -> DemoCluster:
    return make_cluster(tmp_path_factory.mktemp("facts"), KFP_2_17, forked, images=12)


@pytest.fixture(scope="module")
def package(cluster: DemoCluster) -> Package:
    return cluster.compile()


@pytest.fixture(params=VARIANTS, ids=lambda variant: variant.name)
def backend(request: pytest.FixtureRequest, cluster: DemoCluster, tmp_path: Path) -> Backend:
    """A new backend of each variant that mounts the same claims."""
    return Backend(tmp_path, request.param, cluster.backend.processes, claims=cluster.backend.claims)


def _ingest(backend: Backend, package: Package) -> TaskRun:
    run = backend.run(package, until=UNTIL)
    assert run.succeeded, run.explain()
    return run.tasks[UNTIL]


def test_the_package_compiles_and_kfp_accepts_it(package: Package) -> None:
    """standard_artifacts.Config does not compile for KFP."""
    assert {*NEVER_CACHED, "Trainer", "ReviewReport"} <= {task.name for task in package.tasks}


def test_a_resolver_gives_what_a_driver_would(backend: Backend, cluster: DemoCluster, package: Package) -> None:
    """No custom driver runs on KFP: its exec property is the resolver's output parameter."""
    run = backend.run(package, until="ResolveData")
    assert run.succeeded, run.explain()
    settings = IngestionSettings.from_json(_constant(package, "VocExampleGen", "settings"))
    expected = fingerprint_data(cluster.data, settings, None)
    assert run.tasks["ResolveData"].outputs.parameters == {"input_fingerprint": expected}
    assert _ingest(backend, package).outputs.artifacts["examples"].metadata["input_fingerprint"] == expected


def _constant(package: Package, task: str, name: str) -> str:
    (found,) = (one for one in package.tasks if one.name == task)
    return str(found.inputs("parameters")[name]["runtimeValue"]["constant"])


def test_a_removed_image_is_ingested_again_and_unchanged_data_is_not(
    tmp_path: Path, cluster: DemoCluster, package: Package, backend: Backend
) -> None:
    """A stale cache: with the address alone as the key, the run was green with the old images."""
    assert _ingest(backend, package).state is TaskState.DONE
    assert _ingest(backend, package).state is TaskState.CACHED
    for folder, suffix in (("JPEGImages", ".jpg"), ("Annotations", ".xml")):
        file = cluster.data / folder / f"demo_00003{suffix}"
        file.rename(tmp_path / file.name)
    try:
        assert _ingest(backend, package).state is TaskState.DONE
    finally:
        for folder, suffix in (("JPEGImages", ".jpg"), ("Annotations", ".xml")):
            (tmp_path / f"demo_00003{suffix}").rename(cluster.data / folder / f"demo_00003{suffix}")
    assert _ingest(backend, package).state is TaskState.CACHED


@pytest.mark.parametrize("task", NEVER_CACHED)
def test_tasks_that_look_outside_are_never_cached(package: Package, task: str) -> None:
    """Neither as compiled nor with `enable_caching=True` at submission, which overrides every task."""
    (found,) = (one for one in package.tasks if one.name == task)
    assert not found.is_cacheable
    assert _constant(package, task, "run_id") == "{{$.pipeline_job_uuid}}"


def test_only_tasks_that_read_examples_take_them(package: Package) -> None:
    """KFP's launcher downloads each input completely."""
    readers = {task.name for task in package.tasks if "examples" in task.inputs("artifacts")}
    assert readers == {"StatisticsGen", "Trainer", "EdgeTpuExporter", "ModelScorer"}


def test_only_what_the_summary_must_not_read_depends_on_pusher(package: Package) -> None:
    """Pusher runs each time, and so would all that read its output."""
    readers = {
        task.name
        for task in package.tasks
        for source in task.inputs("artifacts").values()
        if source["taskOutputArtifact"]["producerTask"] == "Pusher"
    }
    assert readers == {"RunSummary"}


def test_facts_of_an_output_name_the_run_and_no_path_of_the_pod(backend: Backend, package: Package) -> None:
    """TFX's own entrypoint knows no run id; types arrive empty, and KFP's own outputs have types unknown to TFX."""
    run = backend.run(package, until=UNTIL)
    assert run.succeeded, run.explain()
    for artifact in run.tasks[UNTIL].outputs.artifacts.values():
        assert artifact.metadata["reefline_run_id"] == run.run_id
        assert isinstance(artifact.metadata["reefline_seconds"], float)
        assert str(backend.root) not in json.dumps(dict(artifact.metadata))


def test_types_come_from_the_inputs_spec(backend: Backend, package: Package) -> None:
    """tfx#7768: {"instanceSchema": ""} for each input, a schemaTitle without ML Metadata."""
    run = backend.run(package, until="ImportSchemaGen")
    assert run.succeeded, run.explain()
    assert run.tasks["StatisticsGen"].downloaded.keys() == {"examples"}
    assert run.tasks["StatisticsGen"].outputs.artifacts["statistics"].title == "tfx.ExampleStatistics"


def test_bad_data_ends_with_exit_code_2_and_a_summary(tmp_path: Path, forked: ForkedProcesses) -> None:
    cluster = make_cluster(tmp_path / "bad", KFP_2_17, forked, images=12)
    for number in range(6):
        file = cluster.data / "Annotations" / f"demo_{number:05d}.xml"
        file.write_text(re.sub(r"<xmax>\d+<", "<xmax>9000<", file.read_text(encoding="utf-8")), encoding="utf-8")
    run = cluster.backend.run(cluster.compile())
    (failed,) = run.names(TaskState.FAILED)
    task = run.tasks[failed]
    assert task.exit_code == 2, task.log
    assert "Traceback" not in task.log
    summary = cluster.summary(run)
    assert (summary["run_id"], summary["verdict"]) == (run.run_id, "FAILED")
    assert summary["failure"]["component"] == failed
    assert {finding["file"] for finding in summary["data"]["findings"]} >= {
        f"Annotations/demo_{number:05d}.xml" for number in range(6)
    }
    assert "RunSummary" in run.names(TaskState.SKIPPED)


def test_data_that_is_missing_ends_with_exit_code_2(cluster: DemoCluster) -> None:
    run = cluster.backend.run(cluster.compile(data=str(cluster.data.with_name("missing"))))
    task = run.tasks["ResolveData"]
    assert (task.state, task.exit_code) == (TaskState.FAILED, 2)
    assert "Traceback" not in task.log and "missing" in task.log
    assert cluster.summary(run)["failure"]["component"] == "ResolveData"


def test_a_package_of_other_code_is_stopped(cluster: DemoCluster, package: Package) -> None:
    spec: Any = json.loads(json.dumps(package.spec))
    spec["root"]["dag"]["tasks"][UNTIL]["inputs"]["parameters"]["code"]["runtimeValue"]["constant"] = "0" * 64
    task = cluster.backend.run(Package(spec, package.platform), until=UNTIL).tasks[UNTIL]
    assert task.exit_code == 2 and "compiled from other code" in task.log


def test_a_task_in_a_process_of_its_own_does_the_same(cluster: DemoCluster, package: Package, tmp_path: Path) -> None:
    """The forked containers of the other tests start with TFX imported; this one does not."""
    processes = PlainProcesses()
    plain = Backend(tmp_path / "plain", KFP_2_17, processes, claims=cluster.backend.claims)
    found = _ingest(plain, package).outputs.artifacts["examples"]
    forked = Backend(tmp_path / "forked", KFP_2_17, cluster.backend.processes, claims=cluster.backend.claims)
    expected = _ingest(forked, package).outputs.artifacts["examples"]
    assert _describe(found.metadata) == _describe(expected.metadata)
    assert _read_files(plain, found.uri) == _read_files(forked, expected.uri)


def _describe(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if not key.startswith("reefline_")}


def _read_files(backend: Backend, uri: str) -> dict[str, bytes]:
    root = backend.root / "store" / uri.replace("://", "/")
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("serving", "settings", "problem"),
    [
        pytest.param("ftp://host/serving", {}, "scheme", id="unknown scheme"),
        pytest.param("/home/me/serving", {}, "volume", id="path of the compiling machine"),
        pytest.param("s3://bucket/serving", {"trainer.strategy": "multi_worker"}, "multi_worker", id="several pods"),
    ],
)
def test_compile_refuses_what_no_pod_can_do(
    serving: str, settings: Mapping[str, Any], problem: str, tmp_path: Path
) -> None:
    """Path("s3://…") is a folder of the pod: a push there was reported as done."""
    overrides = [f"{name}={json.dumps(value)}" for name, value in {**SETTINGS, **settings}.items()]
    request = read_request(CONFIG_DIR / "demo.yaml", overrides, IMAGE, "s3://bucket/data", serving)
    with pytest.raises(ConfigError, match=problem):
        compile_to_file(request, tmp_path / "pipeline.yaml")


def test_the_same_content_at_another_address_is_cached(
    cluster: DemoCluster, package: Package, backend: Backend
) -> None:
    """The address is no part of the cache key, only the content's fingerprint is."""
    _ingest(backend, package)
    moved = cluster.data.with_name("moved")
    if not moved.exists():
        moved.symlink_to(cluster.data)
    assert _ingest(backend, cluster.compile(data=str(moved))).state is TaskState.CACHED
