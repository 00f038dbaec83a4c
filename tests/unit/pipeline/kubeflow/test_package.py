"""The compiled package: each thing that KFP needs beyond what TFX compiles."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from pipeline.component_code import component_code
from pipeline.kubeflow.lint import lint_documents
from pipeline.kubeflow.start import know_start
from reefline.errors import ConfigError, DataError, UsageError
from reefline.settings import TrainerSettings
from tests.factories_kubeflow import IMAGE, compile_package

RUN_ID = {"runtimeValue": {"constant": "{{$.pipeline_job_uuid}}"}}
SHA256 = "0123456789abcdef" * 4


def _tasks(**options: Any) -> dict[str, Any]:
    tasks: dict[str, Any] = compile_package(**options).pipeline["root"]["dag"]["tasks"]
    return tasks


def _container(name: str, *overrides: str) -> dict[str, Any]:
    executors = compile_package(*overrides).pipeline["deploymentSpec"]["executors"]
    container: dict[str, Any] = executors[f"{name}_executor"]["container"]
    return container


def test_it_is_a_pipeline_spec_of_schema_2_1_below_a_megabyte() -> None:
    package = compile_package()
    json_format.ParseDict(dict(package.pipeline), pipeline_spec_pb2.PipelineSpec())
    assert package.pipeline["schemaVersion"] == "2.1.0"
    text = package.format()
    assert len(text.encode()) < 1_000_000
    assert list(yaml.safe_load_all(text)) == [package.pipeline, package.platform]
    assert lint_documents([package.pipeline, package.platform], size=len(text)) == ()


@pytest.mark.parametrize(
    ("task", "parameter", "producer"),
    [
        pytest.param("VocExampleGen", "input_fingerprint", "ResolveData", id="data"),
        pytest.param("ServingBundle", "serving_version", "ResolveServing", id="version"),
        pytest.param("ServingBundle", "serving_sha256", "ResolveServing", id="sha256"),
    ],
)
def test_what_a_driver_resolves_is_the_output_of_a_task(task: str, parameter: str, producer: str) -> None:
    found = _tasks()[task]
    assert found["inputs"]["parameters"][parameter] == {
        "taskOutputParameter": {"producerTask": producer, "outputParameterKey": parameter}
    }
    assert producer in found["dependentTasks"]
    args = _container(task)["args"]
    spec = json.loads(args[args.index("--json_serialized_inputs_spec_args") + 1])
    expected = "NUMBER_INTEGER" if parameter == "serving_version" else "STRING"
    assert spec["parameters"][parameter] == {"parameterType": expected}


def test_a_start_that_is_not_pinned_is_resolved_in_the_run() -> None:
    tasks = _tasks()
    assert "ResolveStart" not in tasks
    assert tasks["Trainer"]["inputs"]["parameters"]["start"] == {"runtimeValue": {"constant": ""}}
    tasks = compile_package("trainer.start=serving").pipeline["root"]["dag"]["tasks"]
    assert tasks["Trainer"]["inputs"]["parameters"]["start"]["taskOutputParameter"]["producerTask"] == "ResolveStart"
    assert tasks["ResolveStart"]["inputs"]["parameters"]["serving_home"] == {
        "runtimeValue": {"constant": "s3://bucket/serving/demo"}
    }


@pytest.mark.parametrize(
    ("start", "known"),
    [
        pytest.param("scratch", "", id="scratch"),
        pytest.param({"source": "https://example.org/a.tar.gz", "sha256": SHA256}, f"sha256:{SHA256}", id="pinned-url"),
        pytest.param("https://example.org/a.tar.gz", None, id="url"),
        pytest.param("/models/a", None, id="path"),
        pytest.param("serving", None, id="serving"),
    ],
)
def test_which_starts_are_known_when_compiling(start: Any, known: str | None) -> None:
    assert know_start(TrainerSettings(model="ssd_mobilenet_v2_tiny", start=start)) == known


@pytest.mark.parametrize("name", ["ResolveData", "ResolveServing", "Pusher", "RunSummary"])
def test_what_looks_outside_is_never_cached_even_if_caching_is_forced(name: str) -> None:
    task = _tasks()[name]
    assert task["cachingOptions"] == {}
    assert task["inputs"]["parameters"]["run_id"] == RUN_ID


def test_everything_else_is_cached_by_content() -> None:
    uncached = {name for name, task in _tasks().items() if not task["cachingOptions"].get("enableCache")}
    assert uncached == {"ResolveData", "ResolveServing", "Pusher", "RunSummary"}


def test_the_address_of_the_data_keys_nothing() -> None:
    before, after = _tasks(), _tasks(data="s3://bucket/moved")
    assert {name for name in before if before[name] != after[name]} == {"ResolveData"}
    assert before["VocExampleGen"]["inputs"]["parameters"]["data_dir"] == {
        "runtimeValue": {"constant": "env:REEFLINE_DATA"}
    }
    # From 2.18 on, KFP keys its cache with the environment of the container, but never with annotations of the pod.
    assert "REEFLINE_DATA" not in {variable["name"] for variable in _container("VocExampleGen")["env"]}
    package = compile_package()
    platform = package.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    # Before 2.14, KFP gives every pod the annotations of the first executor.
    assert platform.keys() == package.pipeline["deploymentSpec"]["executors"].keys()
    annotation = {"annotations": {"reefline/data": "s3://bucket/data"}}
    assert all(executor["podMetadata"] == annotation for executor in platform.values())
    assert {label for label, executor in platform.items() if "fieldPathAsEnv" in executor} == {"VocExampleGen_executor"}
    assert platform["VocExampleGen_executor"]["fieldPathAsEnv"] == [
        {"name": "REEFLINE_DATA", "fieldPath": "metadata.annotations['reefline/data']"}
    ]


@pytest.mark.parametrize("name", ["AnnotationValidator", "Evaluator", "Pusher", "RunSummary", "ReviewReport"])
def test_who_does_not_read_examples_does_not_fetch_them(name: str) -> None:
    assert "examples" not in _tasks()[name]["inputs"]["artifacts"]


def test_nothing_of_the_compiling_machine_is_in_the_package() -> None:
    tasks = _tasks()
    assert tasks["ImportSchemaGen"]["inputs"]["parameters"]["schema_file"] == {
        "runtimeValue": {"constant": "/app/configs/schema.pbtxt"}
    }
    assert tasks["VocExampleGen"]["inputs"]["parameters"]["hash_memory"] == {"runtimeValue": {"constant": ""}}
    assert tasks["Trainer"]["inputs"]["parameters"]["code"] == {
        "runtimeValue": {"constant": component_code("trainer", model="ssd_mobilenet_v2_tiny")}
    }


def test_types_are_titles_which_every_kfp_reads() -> None:
    spec = compile_package().pipeline
    assert "instanceSchema" not in json.dumps(spec)
    made = spec["components"]["VocExampleGen"]["outputDefinitions"]["artifacts"]
    assert made["examples"]["artifactType"] == {"schemaTitle": "tfx.Examples", "schemaVersion": "0.0.1"}
    args = spec["deploymentSpec"]["executors"]["StatisticsGen_executor"]["container"]["args"]
    told = json.loads(args[args.index("--json_serialized_inputs_spec_args") + 1])
    assert told == spec["components"]["StatisticsGen"]["inputDefinitions"]


def test_the_serving_folder_keeps_its_scheme() -> None:
    assert _tasks()["Pusher"]["inputs"]["parameters"]["destination"] == {
        "runtimeValue": {"constant": "s3://bucket/serving"}
    }


def test_every_container_runs_our_entrypoint() -> None:
    executors = compile_package().pipeline["deploymentSpec"]["executors"]
    modules = {label: one["container"]["command"][2] for label, one in executors.items()}
    assert modules.pop("RunSummary_executor") == "pipeline.kubeflow.run_summary"
    assert {modules.pop(f"Resolve{what}_executor") for what in ("Data", "Serving")} == {"pipeline.kubeflow.resolve"}
    assert set(modules.values()) == {"pipeline.kubeflow.entrypoint"}
    assert {one["container"]["image"] for one in executors.values()} == {IMAGE}


def test_the_summary_waits_for_push_and_review() -> None:
    task = _tasks()["RunSummary"]
    assert {"Pusher", "ReviewReport"} <= set(task["dependentTasks"])
    outputs = compile_package().pipeline["components"]["RunSummary"]["outputDefinitions"]["artifacts"]
    assert {name: one["artifactType"]["schemaTitle"] for name, one in outputs.items()} == {
        "summary": "system.Artifact",
        "page": "system.HTML",
        "metrics": "system.Metrics",
    }


def test_pods_get_what_the_config_says() -> None:
    overrides = (
        "kubeflow.tasks.Trainer={cpu: 4, memory: 8G, retries: 1, gpu: {count: 2}}",
        "kubeflow.secrets=[{name: store, env: {accesskey: AWS_ACCESS_KEY_ID}}]",
        "kubeflow.env={AWS_ENDPOINT_URL: http://minio:9000}",
        "kubeflow.work_dir={claim: work, path: /unfinished}",
    )
    package = compile_package(*overrides)
    assert _container("Trainer", *overrides)["resources"]["memoryLimit"] == 8.0
    assert package.pipeline["root"]["dag"]["tasks"]["Trainer"]["retryPolicy"]["maxRetryCount"] == 1
    assert "retryPolicy" not in package.pipeline["root"]["dag"]["tasks"]["Pusher"]
    parameters = package.pipeline["root"]["dag"]["tasks"]["Trainer"]["inputs"]["parameters"]
    assert parameters["work_dir"] == {"runtimeValue": {"constant": "/unfinished"}}
    executors = package.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors["Trainer_executor"]["pvcMount"] == [{"constant": "work", "mountPath": "/unfinished"}]
    with_secrets = {label for label, one in executors.items() if "secretAsEnv" in one}
    # Any task may stop the run, and then writes its summary to the reports.
    assert with_secrets == package.pipeline["deploymentSpec"]["executors"].keys()
    variables = {variable["name"] for variable in _container("ModelScorer", *overrides)["env"]}
    assert variables == {"AWS_ENDPOINT_URL", "REEFLINE_MODEL", "REEFLINE_REPORTS"}
    assert len(list(yaml.safe_load_all(package.format()))) == 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        pytest.param("trainer.strategy=multi_worker", "multi_worker needs several pods", id="multi_worker"),
        pytest.param("kubeflow.tasks={Trianer: {cpu: 1}}", "Trianer: unknown task; did you mean Trainer", id="task"),
    ],
)
def test_what_no_package_can_do_is_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compile_package(override)


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param((), id="none"),
        # It would put the key into the package.
        pytest.param(("kubeflow.env={KEY: text}",), id="plain-variable"),
        # A task with an entry of its own gets nothing of `default`.
        pytest.param(
            ("kubeflow.default={secrets: [{name: s, env: {k: KEY}}]}", "kubeflow.tasks={Pusher: {cpu: 1}}"),
            id="default-of-others",
        ),
    ],
)
def test_a_signing_key_that_no_secret_sets_is_refused_before_any_training(overrides: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=r"variable KEY in .* pod; set it with kubeflow\.tasks\.Pusher\.secrets$"):
        compile_package("push.signing_key=env:KEY", *overrides)


def test_a_signing_key_is_checked_before_the_training_with_the_pushers_secrets() -> None:
    secrets = "kubeflow.tasks={Pusher: {secrets: [{name: s, env: {k: KEY}}], deadline_s: 60}}"
    package = compile_package("push.signing_key=env:KEY", secrets)
    tasks = package.pipeline["root"]["dag"]["tasks"]
    assert "CheckSigningKey" in tasks["Trainer"]["dependentTasks"]
    assert "dependentTasks" not in tasks["CheckSigningKey"] and tasks["CheckSigningKey"]["cachingOptions"] == {}
    parameters = tasks["CheckSigningKey"]["inputs"]["parameters"]
    assert parameters == {"signing_key": {"runtimeValue": {"constant": "env:KEY"}}, "run_id": RUN_ID}
    executors = package.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    secret = [{"secretName": "s", "keyToEnv": [{"secretKey": "k", "envVar": "KEY"}]}]
    assert executors["CheckSigningKey_executor"]["secretAsEnv"] == secret
    assert "secretAsEnv" not in executors["Trainer_executor"]
    assert lint_documents([package.pipeline, package.platform], size=1) == ()
    assert "CheckSigningKey" not in _tasks()


def test_a_secret_for_all_tasks_sets_the_signing_key() -> None:
    package = compile_package("push.signing_key=env:KEY", "kubeflow.secrets=[{name: s, env: {k: KEY}}]")
    parameters = package.pipeline["root"]["dag"]["tasks"]["Pusher"]["inputs"]["parameters"]
    assert parameters["signing_key"] == {"runtimeValue": {"constant": "env:KEY"}}


FLINK = "data.beam_args=[--runner=FlinkRunner, --flink_master=flink:8081, --temp_location=s3://bucket/tmp]"


def test_options_of_beam_reach_the_component_and_no_settings() -> None:
    package = compile_package(FLINK)
    args = _container("VocExampleGen", FLINK)["args"]
    assert [arg for arg in args if arg.startswith(("--runner", "--flink", "--temp"))] == [
        "--runner=FlinkRunner",
        "--flink_master=flink:8081",
        "--temp_location=s3://bucket/tmp",
    ]
    # Both compute the fingerprint from the settings, and equal data must hit the cache whoever ingests them.
    for task in ("VocExampleGen", "ResolveData"):
        parameters = package.pipeline["root"]["dag"]["tasks"][task]["inputs"]["parameters"]
        assert json.loads(parameters["settings"]["runtimeValue"]["constant"])["beam_args"] == []


def test_the_number_of_workers_reaches_the_component_and_no_settings() -> None:
    def settings(*overrides: str) -> list[str]:
        tasks = compile_package(*overrides).pipeline["root"]["dag"]["tasks"]
        return [tasks[name]["inputs"]["parameters"]["settings"] for name in ("VocExampleGen", "ResolveData")]

    assert settings("data.workers=1") == settings()
    args = _container("VocExampleGen", "data.workers=1")["args"]
    assert [arg for arg in args if "workers" in arg] == ["--reefline_workers=1"]


def test_beam_workers_cannot_read_a_volume() -> None:
    with pytest.raises(DataError, match=r"^/volume/data: the workers of FlinkRunner \(data\.beam_args\) cannot read"):
        compile_package(FLINK, data="/volume/data")


def test_vertex_keeps_the_command_of_tfx() -> None:
    package = compile_package(for_vertex=True)
    executors = package.pipeline["deploymentSpec"]["executors"]
    assert executors["Trainer_executor"]["container"]["command"][-1].endswith("kubeflow_v2_run_executor")
    parameters = package.pipeline["root"]["dag"]["tasks"]["VocExampleGen"]["inputs"]["parameters"]
    assert parameters["data_dir"] == {"runtimeValue": {"constant": "s3://bucket/data"}}
    made = package.pipeline["components"]["VocExampleGen"]["outputDefinitions"]["artifacts"]
    assert made["examples"]["artifactType"]["instanceSchema"].startswith("title: tfx.Examples")
    json_format.ParseDict(json.loads(package.format_job()), pipeline_spec_pb2.PipelineJob())


@pytest.mark.parametrize("serving", ["s3://bucket", "s3://bucket/", "gs://bucket"], ids=["s3", "slash", "gs"])
def test_bare_bucket_is_no_serving_folder(serving: str) -> None:
    """The reports, next to it, would be in the bucket `reports`, which belongs to somebody else."""
    bucket = serving.rstrip("/")
    with pytest.raises(UsageError, match=f"^--serving {serving}: a bucket; name a folder, such as {bucket}/serving$"):
        compile_package(serving=serving)


@pytest.mark.parametrize(
    ("serving", "reports"),
    [
        pytest.param("s3://bucket/serving", "s3://bucket/reports", id="folder"),
        pytest.param("gs://bucket/team/serving/", "gs://bucket/team/reports", id="deeper"),
    ],
)
def test_reports_are_kept_next_to_the_serving_folder(serving: str, reports: str) -> None:
    executors = compile_package(serving=serving).pipeline["deploymentSpec"]["executors"]
    environment = executors["Pusher_executor"]["container"]["env"]
    assert {"name": "REEFLINE_REPORTS", "value": reports} in environment
