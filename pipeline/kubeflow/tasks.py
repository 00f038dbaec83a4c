"""The tasks that KFP runs next to the components: resolvers, and the summary of the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.kubeflow.artifact_types import make_type
from pipeline.kubeflow.contract import (
    EXECUTOR_INPUT_OPTION,
    RESOLVE_MODULE,
    RUN_ID_PARAMETER,
    RUN_ID_PLACEHOLDER,
    SUMMARY_MODULE,
    SUMMARY_TASK,
    Resolver,
)

TEXT, INTEGER = "STRING", "NUMBER_INTEGER"
_PYTHON = ("python", "-m")
_EXECUTOR_INPUT = "{{$}}"


@dataclass(frozen=True)
class ArtifactSource:
    """An output of another task, and its type as the compiled component has it."""

    task: str
    key: str
    artifact_type: Mapping[str, str]


@dataclass(frozen=True)
class ParameterSource:
    """An output parameter of another task."""

    task: str
    key: str


@dataclass(frozen=True)
class PlainTask:
    """A task that is no TFX component; it is never cached.

    `output_parameters` maps a name to its type, `output_artifacts` a name to KFP's type.
    """

    name: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    constants: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, ParameterSource] = field(default_factory=dict)
    artifacts: Mapping[str, ArtifactSource] = field(default_factory=dict)
    output_parameters: Mapping[str, str] = field(default_factory=dict)
    output_artifacts: Mapping[str, str] = field(default_factory=dict)

    @property
    def component(self) -> dict[str, Any]:
        """The task's ComponentSpec."""
        names = (*self.constants, *self.parameters, RUN_ID_PARAMETER)
        inputs: dict[str, Any] = {"parameters": {name: {"parameterType": TEXT} for name in names}}
        if self.artifacts:
            inputs["artifacts"] = {
                name: {"artifactType": dict(source.artifact_type)} for name, source in self.artifacts.items()
            }
        outputs: dict[str, Any] = {}
        if self.output_parameters:
            outputs["parameters"] = {name: {"parameterType": kind} for name, kind in self.output_parameters.items()}
        if self.output_artifacts:
            outputs["artifacts"] = {
                name: {"artifactType": make_type(title)} for name, title in self.output_artifacts.items()
            }
        return {
            "executorLabel": f"{self.name}_executor",
            "inputDefinitions": inputs,
            "outputDefinitions": outputs,
        }

    @property
    def task(self) -> dict[str, Any]:
        """The task's PipelineTaskSpec.

        Caching is off, and the run's id is an input: caching that is switched on for all tasks at submission finds
        nothing, either.
        """
        parameters: dict[str, Any] = {name: make_constant(value) for name, value in self.constants.items()}
        parameters |= {name: make_parameter_link(source) for name, source in self.parameters.items()}
        inputs: dict[str, Any] = {"parameters": {**parameters, RUN_ID_PARAMETER: make_constant(RUN_ID_PLACEHOLDER)}}
        if self.artifacts:
            inputs["artifacts"] = {
                name: {"taskOutputArtifact": {"producerTask": source.task, "outputArtifactKey": source.key}}
                for name, source in self.artifacts.items()
            }
        producers = {one.task for one in self.parameters.values()} | {one.task for one in self.artifacts.values()}
        spec: dict[str, Any] = {
            "cachingOptions": {},
            "componentRef": {"name": self.name},
            "inputs": inputs,
            "taskInfo": {"name": self.name},
        }
        if producers:
            spec["dependentTasks"] = sorted(producers)
        return spec

    def make_executor(self, image: str) -> dict[str, Any]:
        """Return the task's ExecutorSpec."""
        return {"container": {"image": image, "command": list(self.command), "args": list(self.args)}}


def make_constant(value: str | int) -> dict[str, Any]:
    """Return a constant as an input parameter."""
    return {"runtimeValue": {"constant": value}}


def make_parameter_link(source: ParameterSource) -> dict[str, Any]:
    """Return another task's output parameter as an input parameter."""
    return {"taskOutputParameter": {"producerTask": source.task, "outputParameterKey": source.key}}


def make_resolver(
    resolver: Resolver,
    outputs: Mapping[str, str],
    constants: Mapping[str, str],
    *,
    parameters: Mapping[str, ParameterSource] | None = None,
    artifacts: Mapping[str, ArtifactSource] | None = None,
) -> PlainTask:
    """Return the task that resolves an exec property."""
    return PlainTask(
        name=resolver.task,
        command=(*_PYTHON, RESOLVE_MODULE),
        args=(resolver.value, EXECUTOR_INPUT_OPTION, _EXECUTOR_INPUT),
        constants=constants,
        parameters=parameters or {},
        artifacts=artifacts or {},
        output_parameters=outputs,
    )


def make_summary_task(artifacts: Mapping[str, ArtifactSource], config: str) -> PlainTask:
    """Return the task that ends a run with its summary, its page and its metrics."""
    return PlainTask(
        name=SUMMARY_TASK,
        command=(*_PYTHON, SUMMARY_MODULE),
        args=(EXECUTOR_INPUT_OPTION, _EXECUTOR_INPUT),
        constants={"config": config},
        artifacts=artifacts,
        output_artifacts={"summary": "system.Artifact", "page": "system.HTML", "metrics": "system.Metrics"},
    )


def find_source(spec: Mapping[str, Any], component: str, key: str) -> ArtifactSource:
    """Return an output of a component of a PipelineSpec."""
    outputs = spec["components"][component]["outputDefinitions"]["artifacts"]
    return ArtifactSource(component, key, outputs[key]["artifactType"])


def link_parameter(spec: dict[str, Any], task: str, kind: str, source: ParameterSource) -> None:
    """Make another task's output parameter an input parameter of a task of a PipelineSpec."""
    add_parameter(spec, task, source.key, kind, make_parameter_link(source))
    wait_for(spec, task, source.task)


def wait_for(spec: dict[str, Any], task: str, other: str) -> None:
    """Start a task of a PipelineSpec after another one has succeeded."""
    found = spec["root"]["dag"]["tasks"][task]
    found["dependentTasks"] = sorted({*found.get("dependentTasks", ()), other})


def add_parameter(spec: dict[str, Any], task: str, name: str, kind: str, value: Mapping[str, Any]) -> None:
    """Add an input parameter to a component and its task."""
    inputs = spec["components"][task].setdefault("inputDefinitions", {})
    inputs.setdefault("parameters", {})[name] = {"parameterType": kind}
    spec["root"]["dag"]["tasks"][task].setdefault("inputs", {}).setdefault("parameters", {})[name] = dict(value)
