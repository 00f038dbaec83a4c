"""What KFP demands of a package beyond the protos' own types; each rule yields its problems."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import permutations
from typing import Any

_SCHEMA_VERSION = "2.1.0"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,126}[a-z0-9])?")
_KUBERNETES_FIELDS = {
    "secretAsEnv",
    "secretAsVolume",
    "configMapAsEnv",
    "configMapAsVolume",
    "pvcMount",
    "nodeSelector",
    "tolerations",
    "emptyDirMounts",
    "activeDeadlineSeconds",
    "podMetadata",
    "fieldPathAsEnv",
    "imagePullSecret",
    "imagePullPolicy",
    "nodeAffinity",
    "podAffinity",
    "enabledSharedMemory",
    "genericEphemeralVolume",
    "securityContext",
}
_DEPLOYED_BY_NO_ONE = ("resolver", "customJob")


def find_spec_problems(spec: Mapping[str, Any], platform: Mapping[str, Any]) -> Iterator[str]:
    """Yield what KFP would refuse, or what one of its releases would get wrong."""
    yield from _check_head(spec)
    tasks = spec.get("root", {}).get("dag", {}).get("tasks", {})
    if not tasks:
        yield "root: no tasks"
    for name, task in tasks.items():
        component = spec.get("components", {}).get(task.get("componentRef", {}).get("name"))
        if component is None:
            yield f"{name}: unknown component"
            continue
        yield from _check_task(name, task)
        yield from _check_executor(name, component, spec)
        yield from _check_inputs(name, task, component)
        yield from _check_producers(name, task, spec)
        yield from _check_types(name, component)
        yield from _check_output_names(name, component)
    yield from _check_order(tasks)
    yield from _check_platform(spec, platform)


def _check_head(spec: Mapping[str, Any]) -> Iterator[str]:
    if spec.get("schemaVersion") != _SCHEMA_VERSION:
        yield f"schemaVersion {spec.get('schemaVersion')!r}: only {_SCHEMA_VERSION} is accepted"
    name = spec.get("pipelineInfo", {}).get("name", "")
    if not _NAME.fullmatch(name):
        yield f"pipeline name {name!r}: expected lower-case letters, digits and dashes"


def _check_task(name: str, task: Mapping[str, Any]) -> Iterator[str]:
    if task.get("taskInfo", {}).get("name") != name:
        yield f"{name}: taskInfo.name is missing or another; the driver requires it"
    for field in ("triggerPolicy", "artifactIterator", "parameterIterator"):
        if field in task:
            yield f"{name}: {field} does not survive on all releases"


def _check_executor(name: str, component: Mapping[str, Any], spec: Mapping[str, Any]) -> Iterator[str]:
    executor = spec["deploymentSpec"].get("executors", {}).get(component.get("executorLabel"))
    if executor is None:
        yield f"{name}: no executor {component.get('executorLabel')!r}"
        return
    for kind in _DEPLOYED_BY_NO_ONE:
        if kind in executor:
            yield f"{name}: a {kind} is not supported by open-source KFP"
    container = executor.get("container", {})
    if not container.get("image"):
        yield f"{name}: no image"
    if not container.get("command"):
        yield f"{name}: no command: the launcher cannot know the image's own"


def _check_inputs(name: str, task: Mapping[str, Any], component: Mapping[str, Any]) -> Iterator[str]:
    for what in ("artifacts", "parameters"):
        given = task.get("inputs", {}).get(what, {})
        declared = component.get("inputDefinitions", {}).get(what, {})
        for key in sorted(set(given) - set(declared)):
            yield f"{name}: input {key} is not declared by the component"
        for key, definition in declared.items():
            is_optional = definition.get("isOptional") or "defaultValue" in definition
            if key not in given and not is_optional:
                yield f"{name}: input {key} is missing"


def _check_producers(name: str, task: Mapping[str, Any], spec: Mapping[str, Any]) -> Iterator[str]:
    tasks = spec["root"]["dag"]["tasks"]
    for what, link, output in (
        ("artifacts", "taskOutputArtifact", "outputArtifactKey"),
        ("parameters", "taskOutputParameter", "outputParameterKey"),
    ):
        for key, source in task.get("inputs", {}).get(what, {}).items():
            if link not in source:
                continue
            producer = source[link]["producerTask"]
            if producer not in tasks:
                yield f"{name}: input {key} comes from {producer}, an unknown task"
                continue
            component = spec["components"].get(tasks[producer]["componentRef"]["name"], {})
            if source[link][output] not in component.get("outputDefinitions", {}).get(what, {}):
                yield f"{name}: input {key}: {producer} has no output {source[link][output]}"
            if producer not in task.get("dependentTasks", ()):
                yield f"{name}: input {key} comes from {producer}, which is not among dependentTasks"


def _check_types(name: str, component: Mapping[str, Any]) -> Iterator[str]:
    for direction in ("inputDefinitions", "outputDefinitions"):
        for key, definition in component.get(direction, {}).get("artifacts", {}).items():
            kind = definition.get("artifactType", {})
            titles = re.findall(r"^title: *\S+", kind.get("instanceSchema", ""), re.MULTILINE)
            if not titles and not kind.get("schemaTitle"):
                yield f"{name}: artifact {key} has no type"
        for key, definition in component.get(direction, {}).get("parameters", {}).items():
            if not definition.get("parameterType"):
                yield f"{name}: parameter {key} has no parameterType"


def _check_output_names(name: str, component: Mapping[str, Any]) -> Iterator[str]:
    """A download lists the objects that start with the artifact's key, and 2.5 takes all of them."""
    names = [*component.get("outputDefinitions", {}).get("artifacts", {})]
    for short, long in permutations(names, 2):
        if long.startswith(short):
            yield f"{name}: output {short} is a prefix of output {long}: KFP 2.5 mixes them"


def _check_order(tasks: Mapping[str, Any]) -> Iterator[str]:
    done: set[str] = set()
    while len(done) < len(tasks):
        ready = {n for n, task in tasks.items() if n not in done and set(task.get("dependentTasks", ())) <= done}
        if not ready:
            yield f"dependentTasks: unknown task or cycle at {', '.join(sorted(set(tasks) - done))}"
            return
        done |= ready


def _check_platform(spec: Mapping[str, Any], platform: Mapping[str, Any]) -> Iterator[str]:
    if not platform:
        return
    kubernetes = platform["platforms"].get("kubernetes")
    if set(platform) != {"platforms"} or set(platform["platforms"]) != {"kubernetes"} or kubernetes is None:
        yield "platform document: expected platforms.kubernetes alone"
        return
    for label, config in kubernetes.get("deploymentSpec", {}).get("executors", {}).items():
        if label not in spec["deploymentSpec"].get("executors", {}):
            yield f"platform document: unknown executor {label}"
        for field in sorted(set(config) - _KUBERNETES_FIELDS):
            yield f"platform document: {label}: unknown field {field}"
