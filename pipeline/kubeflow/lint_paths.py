"""Paths in a package: a pod has the image, its volumes, and what URIs name; nothing of the machine that compiled."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.kubeflow.contract import (
    DATA_ANNOTATION,
    DATA_REFERENCE,
    DATA_VARIABLE,
    IMAGE_HOME,
    REPORTS_VARIABLE,
)
from pipeline.kubeflow.data_source import DEMO
from pipeline.kubeflow.lint_finding import LintFinding

# Parameters that hold a path or a URI, and the keys of those that hold one within JSON.
_PLACES = ("data_dir", "destination", "serving_home", "schema_file", "hash_memory", "start_memory", "work_dir")
_SETTINGS = "settings"
_PLACES_IN_SETTINGS = (("label_map",), ("start", "source"), ("start", "otherwise"))
_SCHEMES = ("s3", "minio", "gs")
_START_SCHEMES = (*_SCHEMES, "http", "https")
# They outlive a pod only on a volume or behind a URI.
_KEPT = ("destination", "serving_home", "work_dir", REPORTS_VARIABLE)


def find_path_problems(spec: Mapping[str, Any], platform: Mapping[str, Any]) -> Iterator[LintFinding]:
    """Yield one error per path that the pods of its tasks do not have."""
    tasks_of: dict[tuple[str, str], list[str]] = {}
    executors = spec.get("deploymentSpec", {}).get("executors", {})
    for name, task in spec.get("root", {}).get("dag", {}).get("tasks", {}).items():
        label = spec.get("components", {}).get(name, {}).get("executorLabel", f"{name}_executor")
        kubernetes = _find_executor(platform, label)
        volumes = tuple(mount["mountPath"] for mount in kubernetes.get("pvcMount", ()))
        container = executors.get(label, {}).get("container", {})
        for key, place in (*_list_parameters(task), *_list_environment(container, kubernetes)):
            problem = _describe_problem(key, place, volumes)
            if problem:
                tasks_of.setdefault((key, problem), []).append(name)
    for (key, problem), tasks in tasks_of.items():
        yield LintFinding(f"{', '.join(sorted(tasks))}: {key}", problem)


def _find_executor(platform: Mapping[str, Any], label: str) -> Mapping[str, Any]:
    kubernetes = platform.get("platforms", {}).get("kubernetes", {})
    found: Mapping[str, Any] = kubernetes.get("deploymentSpec", {}).get("executors", {}).get(label, {})
    return found


def _list_parameters(task: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, source in task.get("inputs", {}).get("parameters", {}).items():
        value = source.get("runtimeValue", {}).get("constant")
        if key in _PLACES and isinstance(value, str):
            yield key, value
        elif key == _SETTINGS and isinstance(value, str):
            yield from ((f"{key}.{name}", place) for name, place in _list_in_settings(value))


def _list_in_settings(text: str) -> Iterator[tuple[str, str]]:
    try:
        settings = json.loads(text)
    except ValueError:
        return
    for path in _PLACES_IN_SETTINGS:
        value: Any = settings
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        # Names such as `published` and zoo:NAME are no places.
        if isinstance(value, str) and "/" in value:
            yield ".".join(path), value


def _list_environment(container: Mapping[str, Any], kubernetes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for variable in container.get("env", ()):
        if variable["name"] == REPORTS_VARIABLE:
            yield variable["name"], variable["value"]
    annotations = kubernetes.get("podMetadata", {}).get("annotations", {})
    # Every task has the annotation; only who reads the data has the variable.
    variables = {one["name"] for one in kubernetes.get("fieldPathAsEnv", ())}
    if DATA_VARIABLE in variables and DATA_ANNOTATION in annotations:
        yield DATA_VARIABLE, annotations[DATA_ANNOTATION]


def _describe_problem(key: str, place: str, volumes: tuple[str, ...]) -> str:
    """Return what is wrong with a place, "" for nothing."""
    if not place or place == DATA_REFERENCE or place.startswith(DEMO):
        return ""
    scheme, separator, _ = place.partition("://")
    if separator:
        known = _START_SCHEMES if key.startswith(f"{_SETTINGS}.start") else _SCHEMES
        return "" if scheme in known else f"{place} has the unknown scheme {scheme}; expected {' or '.join(known)}"
    if any(_lies_in(place, volume) for volume in volumes):
        return ""
    if key in _KEPT:
        return f"{place} is lost with the pod; use a URI, or mount a volume there with kubeflow.volumes"
    if _lies_in(place, IMAGE_HOME):
        return ""
    return (
        f"{place} is neither in the image ({IMAGE_HOME}) nor in a volume of the task; use a URI, put it into the "
        "image, or mount a volume with kubeflow.volumes"
    )


def _lies_in(place: str, folder: str) -> bool:
    return place == folder or place.startswith(f"{folder.rstrip('/')}/")
