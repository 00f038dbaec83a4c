"""The config's section `kubeflow` as KFP has it: container resources, and the platform document for Kubernetes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.kubeflow.contract import DATA_ANNOTATION, DATA_VARIABLE
from reefline.config.kubeflow_settings import (
    KubeflowSettings,
    SecretSettings,
    TaskSettings,
    TolerationSettings,
    VolumeSettings,
    count_bytes,
)

_SHARED_MEMORY = "/dev/shm"
_TRAINER = "Trainer"
# KFP counts memory in 10^9 bytes.
_GIGABYTE = 1e9
# How long an attempt of a task without a deadline may take, and what its retries wait in between.
_LONGEST_ATTEMPT_S = 7 * 86_400
_WAITING_S = 3600


def make_container_resources(settings: TaskSettings) -> dict[str, Any]:
    """Return the `resources` of a container; requests equal limits, so that a pod gets what it was promised."""
    resources: dict[str, Any] = {}
    if settings.cpu is not None:
        resources |= {"cpuLimit": settings.cpu, "cpuRequest": settings.cpu}
    if settings.memory is not None:
        memory = count_bytes(settings.memory) / _GIGABYTE
        resources |= {"memoryLimit": memory, "memoryRequest": memory}
    if settings.gpu is not None:
        resources["accelerator"] = {"type": settings.gpu.type, "count": str(settings.gpu.count)}
    return resources


def make_platform_executor(task: str, settings: KubeflowSettings) -> dict[str, Any]:
    """Return the KubernetesExecutorConfig of a task, as kfp-kubernetes 2.x writes it; {} if it needs none."""
    own = settings.tasks.get(task, settings.default)
    volumes = [*settings.volumes]
    if task == _TRAINER and settings.work_dir is not None:
        volumes.append(settings.work_dir)
    config: dict[str, Any] = {
        "secretAsEnv": [*map(_make_secret, list_secrets(task, settings))],
        "pvcMount": [{"constant": volume.claim, "mountPath": volume.path} for volume in _drop_repeated(volumes)],
        "nodeSelector": {"labels": dict(own.node_selector)} if own.node_selector else {},
        "tolerations": [*map(_make_toleration, own.tolerations)],
        "emptyDirMounts": _make_shared_memory(own),
        # int64 in JSON is text.
        "activeDeadlineSeconds": str(own.deadline_s) if own.deadline_s else "",
    }
    return {key: value for key, value in config.items() if value}


def list_secrets(task: str, settings: KubeflowSettings) -> list[SecretSettings]:
    """Return a task's secrets, each name once: its own win over those of all tasks."""
    own = settings.tasks.get(task, settings.default)
    found: dict[str, SecretSettings] = {}
    for secret in (*own.secrets, *settings.secrets):
        found.setdefault(secret.name, secret)
    return [*found.values()]


def make_data_annotation(data: str) -> dict[str, Any]:
    """Return the part of a KubernetesExecutorConfig that names the data without keying KFP's cache.

    Every task needs it: before 2.14, each pod gets the annotations of the first executor (kubeflow/pipelines#11077).
    """
    return {"podMetadata": {"annotations": {DATA_ANNOTATION: data}}}


def make_data_variable() -> dict[str, Any]:
    """Return the part of a KubernetesExecutorConfig that sets DATA_VARIABLE from the annotation."""
    return {"fieldPathAsEnv": [{"name": DATA_VARIABLE, "fieldPath": f"metadata.annotations['{DATA_ANNOTATION}']"}]}


def make_retry_policy(settings: TaskSettings) -> dict[str, Any]:
    """Return the `retryPolicy` of a task; {} for none."""
    if not settings.retries:
        return {}
    # Argo starts no further attempt later than backoffMaxDuration after the start of the first one.
    longest_s = (settings.retries + 1) * (settings.deadline_s or _LONGEST_ATTEMPT_S) + _WAITING_S
    return {
        "maxRetryCount": settings.retries,
        "backoffDuration": "30s",
        "backoffFactor": 2.0,
        "backoffMaxDuration": f"{longest_s}s",
    }


def _drop_repeated(volumes: Iterable[VolumeSettings]) -> list[VolumeSettings]:
    """Return the volumes, each mount path once: a pod with two mounts at one path is refused."""
    return [*{volume.path: volume for volume in volumes}.values()]


def _make_secret(secret: SecretSettings) -> dict[str, Any]:
    pairs = [{"secretKey": key, "envVar": variable} for key, variable in secret.env.items()]
    return {"secretName": secret.name, "keyToEnv": pairs}


def _make_toleration(toleration: TolerationSettings) -> dict[str, Any]:
    found: Mapping[str, Any] = {
        "key": toleration.key,
        "operator": toleration.operator.value,
        "value": toleration.value,
        "effect": toleration.effect,
        "tolerationSeconds": str(toleration.seconds) if toleration.seconds else None,
    }
    return {key: value for key, value in found.items() if value is not None}


def _make_shared_memory(settings: TaskSettings) -> list[dict[str, str]]:
    if settings.shared_memory is None:
        return []
    return [
        {
            "volumeName": "shared-memory",
            "mountPath": _SHARED_MEMORY,
            "medium": "Memory",
            "sizeLimit": settings.shared_memory,
        }
    ]
