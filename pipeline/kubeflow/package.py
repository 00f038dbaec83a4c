"""From a config to a package: TFX's own compile, and what KFP needs around it."""

from __future__ import annotations

import contextlib
import copy
import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.kubeflow.artifact_types import name_types
from pipeline.kubeflow.contract import (
    DATA_REFERENCE,
    ENTRYPOINT_MODULE,
    MODEL_VARIABLE,
    PUSHER_TASK,
    REPORTS_VARIABLE,
    RUN_ID_PARAMETER,
    RUN_ID_PLACEHOLDER,
    SCHEMA_FILE,
    Resolver,
)
from pipeline.kubeflow.resources import (
    list_secrets,
    make_container_resources,
    make_data_annotation,
    make_data_variable,
    make_platform_executor,
    make_retry_policy,
)
from pipeline.kubeflow.run_outputs import PRODUCERS
from pipeline.kubeflow.start import know_start
from pipeline.kubeflow.tasks import (
    INTEGER,
    TEXT,
    ParameterSource,
    PlainTask,
    add_parameter,
    find_source,
    link_parameter,
    make_constant,
    make_resolver,
    make_summary_task,
    wait_for,
)
from reefline.bundle.signature import VARIABLE_PREFIX
from reefline.config.run_config import RunConfig
from reefline.data.source import check_reach
from reefline.errors import ConfigError, StorageError, UsageError
from reefline.settings import DistributionStrategy
from reefline.storage.location import Location

_INPUTS_SPEC_OPTION = "--json_serialized_inputs_spec_args"
_EXAMPLE_GEN, _TRAINER, _EXPORTER = "VocExampleGen", "Trainer", "EdgeTpuExporter"
_SERVING_BUNDLE = "ServingBundle"


@dataclass(frozen=True)
class PackageRequest:
    """What a package is compiled from: a config, an image with digest, and the places of data and bundles.

    Vertex AI keeps TFX's own command: its containers get the types that KFP's leave out.
    """

    config: RunConfig
    image: str
    data: str
    serving: str
    for_vertex: bool = False

    @property
    def reports(self) -> str:
        """Where the summaries of all runs are kept: as in a workspace, next to the serving folder."""
        given = self.config.kubeflow.reports
        if given:
            return given
        try:
            return str(Location.parse(self.serving).parent / "reports")
        except StorageError:
            # The linter refuses the place, in the terms of a pod.
            return f"{self.serving}/reports"


@dataclass(frozen=True)
class Package:
    """The two documents of a package; `platform` is empty where no task needs more than a container.

    `job` is what Vertex AI wants around the pipeline.
    """

    pipeline: Mapping[str, Any]
    platform: Mapping[str, Any]
    job: Mapping[str, Any]

    def format(self) -> str:
        """Return the package as one YAML file."""
        import yaml

        documents = [self.pipeline, *([self.platform] if self.platform else [])]
        head = f"# PIPELINE DEFINITION\n# Name: {self.pipeline['pipelineInfo']['name']}\n"
        return head + str(yaml.safe_dump_all([copy.deepcopy(one) for one in documents], sort_keys=True))

    def format_job(self) -> str:
        """Return the package as Vertex AI's PipelineJob in JSON."""
        return json.dumps({**self.job, "pipelineSpec": self.pipeline}, sort_keys=True, indent=2) + "\n"


def make_package(request: PackageRequest) -> Package:
    """Compile a package.

    Raises:
        ConfigError: the config asks for what a cluster of pods cannot do, or names an unknown task.
        UsageError: the serving folder is a bucket.
        DataError: Beam's workers cannot read the data.
    """
    _check_config(request.config)
    if not request.for_vertex:
        _check_signing_secret(request.config)
    check_reach(request.config.data.beam_options, request.data)
    _check_serving(request.serving)
    job = _compile_with_tfx(request)
    spec: dict[str, Any] = job["pipelineSpec"]
    if not request.for_vertex:
        name_types(spec)
    tasks = spec["root"]["dag"]["tasks"]
    for plain in _make_plain_tasks(request, spec):
        spec["components"][plain.name] = plain.component
        spec["deploymentSpec"]["executors"][f"{plain.name}_executor"] = plain.make_executor(request.image)
        tasks[plain.name] = plain.task
    _wire_resolved(request, spec)
    # What it pushed may be deleted, which no cache key knows; the manifest names the run.
    tasks[PUSHER_TASK]["cachingOptions"] = {}
    add_parameter(spec, PUSHER_TASK, RUN_ID_PARAMETER, TEXT, make_constant(RUN_ID_PLACEHOLDER))
    _check_task_names(request.config, tasks)
    for name in tasks:
        _tell_types(spec, name)
        _equip(request, spec, name)
    if request.config.kubeflow.pipeline_root:
        spec["defaultPipelineRoot"] = request.config.kubeflow.pipeline_root
    return Package(spec, _make_platform(request, tasks), job)


def _check_config(config: RunConfig) -> None:
    """Refuse what no package can do.

    Raises:
        ConfigError: training is distributed over several machines.
    """
    if config.trainer.strategy is DistributionStrategy.MULTI_WORKER:
        raise ConfigError(
            "trainer.strategy: multi_worker needs several pods that start together, and a task of KFP is one; use "
            "mirrored with several GPUs in kubeflow.tasks.Trainer.gpu, or run `reefline train-worker` as a Training "
            "Operator job"
        )


def _check_signing_secret(config: RunConfig) -> None:
    """Check that the Pusher's pod gets the variable that holds the signing key: its push follows hours of training.

    Raises:
        ConfigError: no secret sets it.
    """
    key = config.push.signing_key or ""
    if not key.startswith(VARIABLE_PREFIX):
        return
    name = key.removeprefix(VARIABLE_PREFIX)
    if not any(name in secret.env.values() for secret in list_secrets(PUSHER_TASK, config.kubeflow)):
        raise ConfigError(
            f"push.signing_key: no secret sets the environment variable {name} in the Pusher's pod; "
            "set it with kubeflow.tasks.Pusher.secrets"
        )


def _check_serving(serving: str) -> None:
    """Refuse a bucket: the reports are kept next to the serving folder.

    Raises:
        UsageError: no folder is named.
    """
    with contextlib.suppress(StorageError):
        location = Location.parse(serving)
        if location.is_remote and not location.path:
            raise UsageError(f"--serving {serving}: a bucket; name a folder, such as {location / 'serving'}")


def _compile_with_tfx(request: PackageRequest) -> dict[str, Any]:
    """Return the PipelineJob that TFX compiles."""
    from pipeline.kubeflow.environment import prepare_environment, stand_in_for_stock_components

    prepare_environment()
    stand_in_for_stock_components()
    from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import KubeflowV2DagRunner, KubeflowV2DagRunnerConfig

    from pipeline.pipeline import Places, create_pipeline

    config = request.config
    work_dir = config.kubeflow.work_dir
    places = Places(
        data_dir=DATA_REFERENCE if not request.for_vertex else request.data,
        hash_memory="",
        schema_file=SCHEMA_FILE,
        serving=request.serving.rstrip("/"),
        artifacts=config.kubeflow.pipeline_root or "",
        work_dir=work_dir.path if work_dir else "",
    )
    runner = KubeflowV2DagRunner(
        KubeflowV2DagRunnerConfig(
            default_image=request.image,
            default_commands=None if request.for_vertex else ["python", "-m", ENTRYPOINT_MODULE],
            use_pipeline_spec_2_1=True,
        )
    )
    job: dict[str, Any] = runner.run(create_pipeline(config, places), write_out=False)
    return job


def _checks_key(request: PackageRequest) -> bool:
    return request.config.push.signing_key is not None and not request.for_vertex


def _make_plain_tasks(request: PackageRequest, spec: Mapping[str, Any]) -> Iterator[PlainTask]:
    config, serving = request.config, request.serving.rstrip("/")
    if _checks_key(request):
        yield make_resolver(Resolver.SIGNING_KEY, {}, {"signing_key": str(config.push.signing_key)})
    fingerprint = ParameterSource(Resolver.DATA.task, "input_fingerprint")
    yield make_resolver(
        Resolver.DATA,
        {"input_fingerprint": TEXT},
        {"data_dir": request.data, "settings": config.data.without_engine().to_json()},
    )
    if know_start(config.trainer) is None:
        parameters = spec["root"]["dag"]["tasks"][_TRAINER]["inputs"]["parameters"]
        serving_home = parameters["serving_home"]["runtimeValue"]["constant"]
        yield make_resolver(
            Resolver.START,
            {"start": TEXT},
            {"settings": config.trainer.to_json(), "serving_home": serving_home},
            parameters={"input_fingerprint": fingerprint},
        )
    yield make_resolver(
        Resolver.SERVING,
        {"serving_version": INTEGER, "serving_sha256": TEXT},
        {"destination": serving, "model_name": config.model_name},
        artifacts={"model": find_source(spec, _EXPORTER, "model")},
    )
    made = {
        key: find_source(spec, component, key)
        for key, component in PRODUCERS.items()
        if component in spec["components"]
    }
    yield make_summary_task(made, config.to_json())


def _wire_resolved(request: PackageRequest, spec: dict[str, Any]) -> None:
    """Make each resolved value the exec property that a driver adds on a workstation."""
    link_parameter(spec, _EXAMPLE_GEN, TEXT, ParameterSource(Resolver.DATA.task, "input_fingerprint"))
    if _checks_key(request):
        # A push that fails for its key would come after hours of training.
        wait_for(spec, _TRAINER, Resolver.SIGNING_KEY.task)
    known = know_start(request.config.trainer)
    if known is None:
        link_parameter(spec, _TRAINER, TEXT, ParameterSource(Resolver.START.task, "start"))
    else:
        add_parameter(spec, _TRAINER, "start", TEXT, make_constant(known))
    link_parameter(spec, _SERVING_BUNDLE, INTEGER, ParameterSource(Resolver.SERVING.task, "serving_version"))
    link_parameter(spec, _SERVING_BUNDLE, TEXT, ParameterSource(Resolver.SERVING.task, "serving_sha256"))


def _tell_types(spec: Mapping[str, Any], task: str) -> None:
    """Give the entrypoint of a TFX component the declarations of its inputs: KFP leaves types out."""
    args = spec["deploymentSpec"]["executors"][f"{task}_executor"]["container"]["args"]
    if _INPUTS_SPEC_OPTION in args:
        inputs = spec["components"][task].get("inputDefinitions", {})
        args[args.index(_INPUTS_SPEC_OPTION) + 1] = json.dumps(inputs, sort_keys=True)


def _equip(request: PackageRequest, spec: dict[str, Any], task: str) -> None:
    """Give a task its resources, its environment and its retries."""
    settings = request.config.kubeflow
    own = settings.tasks.get(task, settings.default)
    container = spec["deploymentSpec"]["executors"][f"{task}_executor"]["container"]
    resources = make_container_resources(own)
    if resources:
        container["resources"] = resources
    # Whichever task stops the run writes the run's summary to the reports.
    environment = {REPORTS_VARIABLE: request.reports, MODEL_VARIABLE: request.config.model_name, **settings.env}
    container["env"] = [{"name": name, "value": value} for name, value in sorted(environment.items())]
    retry_policy = make_retry_policy(own)
    if retry_policy:
        spec["root"]["dag"]["tasks"][task]["retryPolicy"] = retry_policy


def _make_platform(request: PackageRequest, tasks: Mapping[str, Any]) -> dict[str, Any]:
    settings = request.config.kubeflow
    # The check of the key sees what Pusher will see.
    like = {Resolver.SIGNING_KEY.task: PUSHER_TASK}
    made = {task: make_platform_executor(like.get(task, task), settings) for task in tasks}
    executors = {f"{task}_executor": executor for task, executor in made.items() if executor}
    if not request.for_vertex:
        for task in tasks:
            executors.setdefault(f"{task}_executor", {}).update(make_data_annotation(request.data))
        executors[f"{_EXAMPLE_GEN}_executor"].update(make_data_variable())
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}} if executors else {}


def _check_task_names(config: RunConfig, tasks: Mapping[str, Any]) -> None:
    problems = []
    for name in config.kubeflow.tasks:
        if name not in tasks:
            close = difflib.get_close_matches(name, tasks, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            problems.append(f"kubeflow.tasks.{name}: unknown task; {hint}expected one of {', '.join(sorted(tasks))}")
    if problems:
        raise ConfigError(*problems)
