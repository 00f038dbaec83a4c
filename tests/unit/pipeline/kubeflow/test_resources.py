"""What the config's section `kubeflow` becomes: container resources, retries, the platform document."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.kubeflow.resources import make_container_resources, make_platform_executor, make_retry_policy
from reefline.config.kubeflow_settings import KubeflowSettings, TaskSettings, count_bytes
from reefline.config.overrides import parse_override
from reefline.config.run_config import load_config
from reefline.errors import ConfigError
from tests.factories_kubeflow import REPO_DIR

SETTINGS = KubeflowSettings.model_validate(
    {
        "secrets": [{"name": "store", "env": {"accesskey": "AWS_ACCESS_KEY_ID"}}],
        "volumes": [{"claim": "data", "path": "/data"}],
        "work_dir": {"claim": "work", "path": "/work-dir"},
        "tasks": {
            "Trainer": {
                "cpu": 8,
                "memory": "32Gi",
                "gpu": {"count": 2},
                "node_selector": {"pool": "gpu"},
                "tolerations": [{"key": "nvidia.com/gpu", "effect": "NoSchedule", "seconds": 60}],
                "shared_memory": "4Gi",
                "deadline_s": 7200,
                "retries": 2,
            }
        },
    }
)


def test_a_container_gets_cpu_memory_and_gpus() -> None:
    assert make_container_resources(SETTINGS.tasks["Trainer"]) == {
        "cpuLimit": 8.0,
        "cpuRequest": 8.0,
        "memoryLimit": 34.359738368,
        "memoryRequest": 34.359738368,
        "accelerator": {"type": "nvidia.com/gpu", "count": "2"},
    }
    assert make_container_resources(TaskSettings()) == {}


def test_kubernetes_gets_the_rest() -> None:
    assert make_platform_executor("Trainer", SETTINGS, uses_storage=True) == {
        "secretAsEnv": [
            {"secretName": "store", "keyToEnv": [{"secretKey": "accesskey", "envVar": "AWS_ACCESS_KEY_ID"}]}
        ],
        "pvcMount": [{"constant": "data", "mountPath": "/data"}, {"constant": "work", "mountPath": "/work-dir"}],
        "nodeSelector": {"labels": {"pool": "gpu"}},
        "tolerations": [
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": "60"}
        ],
        "emptyDirMounts": [
            {"volumeName": "shared-memory", "mountPath": "/dev/shm", "medium": "Memory", "sizeLimit": "4Gi"}
        ],
        "activeDeadlineSeconds": "7200",
    }


def test_a_task_that_does_not_use_the_store_gets_no_credentials() -> None:
    assert make_platform_executor("StatisticsGen", SETTINGS, uses_storage=False) == {}


def test_retries_are_opt_in() -> None:
    assert make_retry_policy(TaskSettings()) == {}
    assert make_retry_policy(SETTINGS.tasks["Trainer"])["maxRetryCount"] == 2


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        pytest.param("512", 512, id="bytes"),
        pytest.param("1k", 1000, id="decimal"),
        pytest.param("1.5Gi", 1610612736, id="binary"),
    ],
)
def test_quantities(quantity: str, expected: int) -> None:
    assert count_bytes(quantity) == expected


def test_a_malformed_quantity_is_refused() -> None:
    with pytest.raises(ValueError, match="no quantity; expected a number of bytes such as 8Gi"):
        count_bytes("8 GB")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        pytest.param(
            "kubeflow.tasks.Trainer.gpus=1", r"kubeflow\.tasks\.Trainer\.gpus: .*tasks\.Trainer\.gpu", id="key"
        ),
        pytest.param("kubeflow.default.memory=lots", r"kubeflow\.default\.memory: found 'lots'", id="quantity"),
        pytest.param("kubeflow.work_dir={claim: a, path: work}", r"kubeflow\.work_dir\.path", id="relative-path"),
    ],
)
def test_a_mistake_in_the_config_is_one_message(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(Path(REPO_DIR) / "configs" / "demo.yaml", [parse_override(override)])
