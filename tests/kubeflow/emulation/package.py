"""A compiled package as the API server reads it."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from tests.kubeflow.emulation.errors import SpecError
from tests.kubeflow.emulation.spec_rules import find_spec_problems


@dataclass(frozen=True)
class Task:
    """One task of the root DAG with its component, its container and its Kubernetes settings."""

    name: str
    spec: Mapping[str, Any]
    component: Mapping[str, Any]
    container: Mapping[str, Any]
    kubernetes: Mapping[str, Any]

    @property
    def depends_on(self) -> tuple[str, ...]:
        """Names of the tasks that have to end first."""
        return tuple(self.spec.get("dependentTasks", ()))

    @property
    def is_cacheable(self) -> bool:
        """Whether the driver looks into its cache for this task."""
        return bool(self.spec.get("cachingOptions", {}).get("enableCache"))

    def definitions(self, direction: str, what: str) -> Mapping[str, Any]:
        """Return the component's definitions: `direction` is input or output, `what` artifacts or parameters."""
        found: Mapping[str, Any] = self.component.get(f"{direction}Definitions", {}).get(what, {})
        return found

    def inputs(self, what: str) -> Mapping[str, Any]:
        """Return where the task's inputs come from; `what` is artifacts or parameters."""
        found: Mapping[str, Any] = self.spec.get("inputs", {}).get(what, {})
        return found


@dataclass(frozen=True)
class Package:
    """A pipeline spec and its platform document, which have passed every check."""

    spec: Mapping[str, Any]
    platform: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The pipeline's name, which is part of cache entries and of the outputs' place."""
        return str(self.spec["pipelineInfo"]["name"])

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks, each after all that it depends on."""
        found = {name: self._task(name) for name in sorted(self.spec["root"]["dag"]["tasks"])}
        ordered: dict[str, Task] = {}
        while len(ordered) < len(found):
            ready = [t for t in found.values() if t.name not in ordered and all(d in ordered for d in t.depends_on)]
            ordered |= {task.name: task for task in ready}
        return (*ordered.values(),)

    def _task(self, name: str) -> Task:
        task = self.spec["root"]["dag"]["tasks"][name]
        component = self.spec["components"][task["componentRef"]["name"]]
        label = component["executorLabel"]
        platforms = self.platform.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {})
        container = self.spec["deploymentSpec"]["executors"][label]["container"]
        return Task(name, task, component, container, platforms.get("executors", {}).get(label, {}))

    def force_caching(self) -> Package:
        """Return what `enable_caching=True` at submission makes of it: every task of the root DAG is cacheable."""
        spec: Any = copy.deepcopy(self.spec)
        for task in spec["root"]["dag"]["tasks"].values():
            task["cachingOptions"] = {"enableCache": True}
        return Package(spec, self.platform)


def read_package(path: Path, *, image_home: tuple[str, Path] | None = None) -> Package:
    """Read a package file.

    `image_home` says where the image's working folder is on this machine, for pods that see this machine's files.

    Raises:
        SpecError: KFP would refuse it.
    """
    if path.suffix not in (".yaml", ".yml"):
        raise SpecError(f"{path.name}: expected a .yaml file")
    text = path.read_text(encoding="utf-8")
    if image_home is not None:
        text = text.replace(f"{image_home[0]}/", f"{image_home[1]}/")
    return make_package([*yaml.safe_load_all(text)])


def make_package(documents: Iterable[Mapping[str, Any]]) -> Package:
    """Return a package of one or two documents.

    Raises:
        SpecError: KFP would refuse it.
    """
    spec, *rest = documents
    if len(rest) > 1 or any("platforms" not in document for document in rest):
        raise SpecError("expected the pipeline spec and at most one platform document")
    parsed = _parse(spec, pipeline_spec_pb2.PipelineSpec(), "pipeline spec")
    deployment = pipeline_spec_pb2.PipelineDeploymentConfig()
    parsed["deploymentSpec"] = _parse(parsed.get("deploymentSpec", {}), deployment, "deployment spec")
    platform = rest[0] if rest else {}
    problems = [*find_spec_problems(parsed, platform)]
    if problems:
        raise SpecError("\n".join(problems))
    return Package(parsed, platform)


def _parse(document: Mapping[str, Any], message: Any, what: str) -> dict[str, Any]:
    try:
        json_format.ParseDict(document, message)
    except json_format.ParseError as error:
        raise SpecError(f"{what}: {error}") from None
    parsed: dict[str, Any] = json_format.MessageToDict(message)
    return parsed
