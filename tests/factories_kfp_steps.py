"""Small packages for the emulated backend: each task is a shell command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FILE_TYPE = {"schemaTitle": "tfx.File", "schemaVersion": "0.0.1"}


@dataclass(frozen=True)
class Step:
    """One task.

    `constants` are input parameters by name, `parameters` and `artifacts` are inputs as "Task.output", and
    `output_parameters` maps names to types.
    """

    name: str
    script: str = "true"
    constants: Mapping[str, Any] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)
    output_parameters: Mapping[str, str] = field(default_factory=dict)
    output_artifacts: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    is_cached: bool = True

    @property
    def label(self) -> str:
        """The executor's label."""
        return f"{self.name}_executor"

    def make_component(self) -> dict[str, Any]:
        """Return the ComponentSpec."""
        names = (*self.constants, *self.parameters)
        return {
            "executorLabel": self.label,
            "inputDefinitions": {
                "parameters": {name: {"parameterType": self.types.get(name, "STRING")} for name in names},
                "artifacts": {name: {"artifactType": FILE_TYPE} for name in self.artifacts},
            },
            "outputDefinitions": {
                "parameters": {name: {"parameterType": kind} for name, kind in self.output_parameters.items()},
                "artifacts": {name: {"artifactType": FILE_TYPE} for name in self.output_artifacts},
            },
        }

    def make_task(self) -> dict[str, Any]:
        """Return the PipelineTaskSpec."""
        sources = sorted({source.split(".")[0] for source in (*self.parameters.values(), *self.artifacts.values())})
        links = {name: source.split(".") for name, source in self.parameters.items()}
        files = {name: source.split(".") for name, source in self.artifacts.items()}
        return {
            "taskInfo": {"name": self.name},
            "componentRef": {"name": self.name},
            "cachingOptions": {"enableCache": True} if self.is_cached else {},
            "dependentTasks": sources,
            "inputs": {
                "parameters": {
                    **{name: {"runtimeValue": {"constant": value}} for name, value in self.constants.items()},
                    **{
                        name: {"taskOutputParameter": {"producerTask": task, "outputParameterKey": key}}
                        for name, (task, key) in links.items()
                    },
                },
                "artifacts": {
                    name: {"taskOutputArtifact": {"producerTask": task, "outputArtifactKey": key}}
                    for name, (task, key) in files.items()
                },
            },
        }

    def make_executor(self) -> dict[str, Any]:
        """Return the executor with its container."""
        env = [{"name": name, "value": value} for name, value in self.env.items()]
        args = ["-ec", self.script, "sh", *self.arguments]
        return {"container": {"image": "busybox", "command": ["sh"], "args": args, "env": env}}


def make_spec(*steps: Step) -> dict[str, Any]:
    """Return a PipelineSpec of these tasks."""
    return {
        "schemaVersion": "2.1.0",
        "sdkVersion": "tfx-1.16.0",
        "pipelineInfo": {"name": "small"},
        "components": {step.name: step.make_component() for step in steps},
        "deploymentSpec": {"executors": {step.label: step.make_executor() for step in steps}},
        "root": {"dag": {"tasks": {step.name: step.make_task() for step in steps}}},
    }
