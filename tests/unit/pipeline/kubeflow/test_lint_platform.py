"""lint on the platform document: names and types of kfp-kubernetes' proto."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.kubeflow.lint import lint_documents
from tests.factories_kubeflow import compile_package

Change = Callable[[dict[str, Any]], None]


def _add_to_trainer(**fields: Any) -> Change:
    return lambda platform: _executors(platform)["Trainer_executor"].update(fields)


def _executors(platform: dict[str, Any]) -> dict[str, Any]:
    return platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def _add_to_all(platform: dict[str, Any]) -> None:
    for executor in _executors(platform).values():
        executor["pvcMount"] = [{"constant": "data", "mountPth": "/data"}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            _add_to_trainer(secretsAsEnv=[]),
            "Trainer: secretsAsEnv: unknown field; did you mean secretAsEnv?",
            id="field",
        ),
        pytest.param(
            _add_to_trainer(gpu=1), "Trainer: gpu: unknown field; expected one of activeDeadlineSeconds, ", id="no-idea"
        ),
        pytest.param(
            _add_to_trainer(tolerations=[{"key": "a"}, {"opertor": "Exists"}]),
            "Trainer: tolerations[1].opertor: unknown field; did you mean operator?",
            id="nested-field",
        ),
        pytest.param(
            _add_to_trainer(tolerations={"key": "a"}),
            'Trainer: tolerations: {"key": "a"} found, a list expected',
            id="list",
        ),
        pytest.param(
            _add_to_trainer(nodeSelector={"labels": {"pool": 1}}),
            "Trainer: nodeSelector.labels.pool: 1 found, text expected",
            id="text",
        ),
        pytest.param(
            _add_to_trainer(activeDeadlineSeconds="soon"),
            'Trainer: activeDeadlineSeconds: "soon" found, an integer expected',
            id="integer",
        ),
        pytest.param(
            _add_to_trainer(securityContext={"runAsNonRoot": "yes"}),
            'Trainer: securityContext.runAsNonRoot: "yes" found, true or false expected',
            id="bool",
        ),
        pytest.param(
            _add_to_trainer(podMetadata=[]), "Trainer: podMetadata: [] found, an object expected", id="object"
        ),
        pytest.param(
            lambda platform: platform["platforms"].update(kubernets={}),
            "platforms.kubernets: unknown field; did you mean kubernetes?",
            id="platform",
        ),
        pytest.param(
            lambda platform: _executors(platform).update(Trianer_executor={}),
            "Trianer_executor: no such executor in the pipeline; did you mean Trainer_executor?",
            id="executor",
        ),
        pytest.param(
            _add_to_all,
            "AnnotationValidator, EdgeTpuExporter, EdgeTpuPreflight, Evaluator, ExampleValidator, ImportSchemaGen, "
            "ModelScorer, Pusher, ResolveData, ResolveServing, ReviewReport, RunSummary, ServingBundle, StatisticsGen, "
            "Trainer, VocExampleGen: pvcMount[0].mountPth: unknown field; did you mean mountPath?",
            id="in-every-task",
        ),
    ],
)
def test_the_platform_document_has_what_kfp_reads(change: Change, message: str) -> None:
    package = compile_package()
    platform = copy.deepcopy(dict(package.platform))
    change(platform)
    (finding,) = lint_documents([package.pipeline, platform], size=1000)
    assert str(finding).startswith(f"error: platform document: {message}")


def test_everything_that_a_config_can_ask_for_is_known_to_kfp() -> None:
    package = compile_package(
        "kubeflow.secrets=[{name: store, env: {accesskey: AWS_ACCESS_KEY_ID}}]",
        "kubeflow.work_dir={claim: work, path: /work-dir}",
        "kubeflow.tasks.Trainer={node_selector: {pool: gpu}, tolerations: [{key: a, effect: NoSchedule, seconds: 60}], "
        "shared_memory: 4Gi, deadline_s: 7200}",
    )
    assert len(_executors(dict(package.platform))["Trainer_executor"]) == 7
    assert not lint_documents([package.pipeline, package.platform], size=1000)


def test_names_as_in_the_proto_are_known_too() -> None:
    package = compile_package()
    platform = copy.deepcopy(dict(package.platform))
    _executors(platform)["Trainer_executor"] |= {"secret_as_env": [{"secret_name": "store"}]}
    assert not lint_documents([package.pipeline, platform], size=1000)


def test_a_null_in_the_platform_document_is_named() -> None:
    package = compile_package()
    platform = copy.deepcopy(dict(package.platform))
    _executors(platform)["Trainer_executor"] = None
    (finding,) = lint_documents([package.pipeline, platform], size=1000)
    assert "Trainer_executor: null; KFP refuses it" in str(finding)
