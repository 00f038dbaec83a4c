"""KFP's driver: what a task gets, where its outputs go, and whether the cache has them already."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.kubeflow.emulation.errors import BackendError
from tests.kubeflow.emulation.package import Task
from tests.kubeflow.emulation.pod import Pod
from tests.kubeflow.emulation.records import Outputs, StoredArtifact
from tests.kubeflow.emulation.values import check_value, to_value
from tests.kubeflow.emulation.variants import Variant

LOGS = "executor-logs"
_LEGACY_METADATA_FILE = "/tmp/kfp_outputs/output_metadata.json"


@dataclass(frozen=True)
class RunFacts:
    """What placeholders stand for; `outputs` is by task, `parameters` are those of the run."""

    run_id: str
    display_name: str
    root: str
    pipeline: str
    outputs: Mapping[str, Outputs]
    parameters: Mapping[str, Any]

    def placeholders(self, task: str) -> Mapping[str, str]:
        """Return what the driver replaces where a parameter is nothing but a placeholder."""
        return {
            "{{$.pipeline_job_name}}": self.display_name,
            "{{$.pipeline_job_resource_name}}": f"{self.display_name}-x7k2p",
            "{{$.pipeline_job_uuid}}": self.run_id,
            "{{$.pipeline_task_name}}": task,
            "{{$.pipeline_task_uuid}}": "1",
        }


def make_executor_input(task: Task, facts: RunFacts, pod: Pod, variant: Variant) -> dict[str, Any]:
    """Return the task's ExecutorInput.

    Raises:
        BackendError: an input cannot be resolved.
    """
    inputs: dict[str, Any] = {
        "parameterValues": _resolve_parameters(task, facts),
        "artifacts": {
            key: {"artifacts": [_describe_input(_find_artifact(key, source, facts), pod, variant)]}
            for key, source in task.inputs("artifacts").items()
        },
    }
    return {"inputs": inputs, "outputs": _provision_outputs(task, facts, pod, variant)}


def _resolve_parameters(task: Task, facts: RunFacts) -> dict[str, Any]:
    values = {}
    for key, definition in task.definitions("input", "parameters").items():
        source = task.inputs("parameters").get(key)
        if source is not None:
            value = _resolve_parameter(task, key, source, facts)
        elif "defaultValue" in definition:
            value = to_value(definition["defaultValue"])
        else:
            continue
        values[key] = check_value(key, value, definition["parameterType"])
    return values


def _resolve_parameter(task: Task, key: str, source: Mapping[str, Any], facts: RunFacts) -> Any:
    if "runtimeValue" in source:
        constant = to_value(source["runtimeValue"].get("constant"))
        return facts.placeholders(task.name).get(constant, constant) if isinstance(constant, str) else constant
    if "taskOutputParameter" in source:
        link = source["taskOutputParameter"]
        made = facts.outputs[link["producerTask"]].parameters
        if link["outputParameterKey"] not in made:
            raise BackendError(f"{task.name}: cannot find output parameter for input {key}")
        return made[link["outputParameterKey"]]
    name = source.get("componentInputParameter", "")
    if name not in facts.parameters:
        raise BackendError(f"{task.name}: parameter {key}: the run has no parameter {name!r}")
    return to_value(facts.parameters[name])


def _find_artifact(key: str, source: Mapping[str, Any], facts: RunFacts) -> StoredArtifact:
    if "taskOutputArtifact" not in source:
        raise BackendError(f"input {key}: only another task's output can be an input artifact")
    link = source["taskOutputArtifact"]
    made = facts.outputs[link["producerTask"]].artifacts
    if link["outputArtifactKey"] not in made:
        raise BackendError(f"input {key}: {link['producerTask']} made no {link['outputArtifactKey']}")
    return made[link["outputArtifactKey"]]


def _describe_input(artifact: StoredArtifact, pod: Pod, variant: Variant) -> dict[str, Any]:
    kind = {"schemaTitle": artifact.title} if variant.has_types else {"instanceSchema": ""}
    described = {"uri": artifact.uri, "type": kind, "metadata": dict(artifact.metadata)}
    return {variant.id_field: str(artifact.id), **described, **pod.custom_path(artifact.uri)}


def _provision_outputs(task: Task, facts: RunFacts, pod: Pod, variant: Variant) -> dict[str, Any]:
    task_root = f"{facts.root}/{facts.pipeline}/{facts.run_id}/{task.name}/{uuid.uuid4()}"
    types = {key: one["artifactType"] for key, one in task.definitions("output", "artifacts").items()}
    types[LOGS] = {"schemaTitle": "system.Artifact"}
    artifacts = {
        key: {
            "artifacts": [
                {"name": key, "uri": f"{task_root}/{key}", "type": kind, **pod.custom_path(f"{task_root}/{key}")}
            ]
        }
        for key, kind in types.items()
    }
    in_root = f"{pod.local_path(task_root)}/output_metadata.json"
    return {
        "artifacts": artifacts,
        "parameters": {
            name: {"outputFile": str(pod.path(f"/tmp/kfp/outputs/{name}"))}
            for name in task.definitions("output", "parameters")
        },
        "outputFile": in_root if variant.metadata_file_in_task_root else str(pod.path(_LEGACY_METADATA_FILE)),
    }


def compute_fingerprint(task: Task, executor_input: Mapping[str, Any], variant: Variant) -> str:
    """Return the key of the cache, as KFP's GenerateCacheKey: artifacts count by id, outputs without their place."""
    inputs, outputs = executor_input["inputs"], executor_input["outputs"]
    container: dict[str, Any] = {
        "image": task.container["image"],
        "cmdArgs": [*task.container.get("command", ()), *task.container.get("args", ())],
    }
    if variant.keys_claims:
        container["pvcNames"] = [mount["constant"] for mount in task.kubernetes.get("pvcMount", ())]
    if variant.keys_environment:
        container["env"] = task.container.get("env", [])
    key = {
        "inputArtifactNames": {
            name: [one[variant.id_field] for one in given["artifacts"]] for name, given in inputs["artifacts"].items()
        },
        "inputParameterValues": inputs["parameterValues"],
        "outputArtifactsSpec": {name: given["artifacts"][0]["type"] for name, given in outputs["artifacts"].items()},
        "outputParametersSpec": {
            name: one["parameterType"] for name, one in task.definitions("output", "parameters").items()
        },
        "containerSpec": container,
    }
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
