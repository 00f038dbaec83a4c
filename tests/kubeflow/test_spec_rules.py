"""What the emulated backend refuses of a package."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.factories_kfp_steps import Step, make_spec
from tests.kubeflow.emulation.errors import SpecError
from tests.kubeflow.emulation.package import make_package, read_package

SPEC = make_spec(
    Step("First", output_artifacts=("made",), output_parameters={"answer": "STRING"}),
    Step("Second", artifacts={"given": "First.made"}, parameters={"told": "First.answer"}),
)
FIRST, SECOND = SPEC["root"]["dag"]["tasks"]["First"], SPEC["root"]["dag"]["tasks"]["Second"]


def test_the_tasks_are_in_the_order_of_their_links() -> None:
    assert [task.name for task in make_package([SPEC]).tasks] == ["First", "Second"]


def _remove(*path: str) -> Callable[[dict[str, Any]], None]:
    def edit(spec: dict[str, Any]) -> None:
        for key in path[:-1]:
            spec = spec[key]
        del spec[path[-1]]

    return edit


def _put(value: Any, *path: str) -> Callable[[dict[str, Any]], None]:
    def edit(spec: dict[str, Any]) -> None:
        for key in path[:-1]:
            spec = spec[key]
        spec[path[-1]] = value

    return edit


TASKS = ("root", "dag", "tasks")
EXECUTOR = ("deploymentSpec", "executors", "First_executor")


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        pytest.param(_put("2.0.0", "schemaVersion"), "only 2.1.0", id="schema version"),
        pytest.param(_put("Reefline", "pipelineInfo", "name"), "pipeline name", id="name"),
        pytest.param(_put(1, "schema"), "no field named", id="unknown field"),
        pytest.param(_put("x", *EXECUTOR, "container", "comand"), "no field named", id="unknown field of a container"),
        pytest.param(_put("Third", *TASKS, "Second", "componentRef", "name"), "unknown component", id="component"),
        pytest.param(_put([], *EXECUTOR, "container", "command"), "no command", id="no command"),
        pytest.param(_put({"resolver": {}}, *EXECUTOR), "a resolver is not supported", id="resolver"),
        pytest.param(_remove(*TASKS, "Second", "inputs", "parameters", "told"), "input told is missing", id="input"),
        pytest.param(
            _remove("components", "Second", "inputDefinitions", "parameters", "told"), "not declared", id="undeclared"
        ),
        pytest.param(_put([], *TASKS, "Second", "dependentTasks"), "not among dependentTasks", id="dependentTasks"),
        pytest.param(_put(["Second"], *TASKS, "First", "dependentTasks"), "cycle", id="cycle"),
        pytest.param(
            _remove("components", "First", "outputDefinitions", "parameters", "answer"), "no output answer", id="output"
        ),
        pytest.param(
            _put(
                {"artifactType": {"instanceSchema": "title: a"}},
                "components",
                "First",
                "outputDefinitions",
                "artifacts",
                "made_of",
            ),
            "made is a prefix of output made_of",
            id="prefix",
        ),
        pytest.param(_put({}, "components", "First", "outputDefinitions", "artifacts", "made"), "no type", id="type"),
        pytest.param(
            _put({"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}, *TASKS, "Second", "triggerPolicy"),
            "triggerPolicy",
            id="exit handler",
        ),
    ],
)
def test_a_package_is_refused(edit: Callable[[dict[str, Any]], None], problem: str) -> None:
    spec = copy.deepcopy(SPEC)
    edit(spec)
    with pytest.raises(SpecError, match=problem):
        make_package([spec])


@pytest.mark.parametrize(
    ("platform", "problem"),
    [
        pytest.param({"platforms": {"vertex": {}}}, "platforms.kubernetes alone", id="platform"),
        pytest.param(
            {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"Third_executor": {}}}}}},
            "unknown executor",
            id="executor",
        ),
        pytest.param(
            {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"First_executor": {"secret": []}}}}}},
            "unknown field secret",
            id="field",
        ),
        pytest.param({"kubernetes": {}}, "at most one platform document", id="document"),
    ],
)
def test_a_platform_document_is_refused(platform: dict[str, Any], problem: str) -> None:
    with pytest.raises(SpecError, match=problem):
        make_package([SPEC, platform])


def test_only_yaml_is_accepted(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"expected a \.yaml file"):
        read_package(tmp_path / "pipeline.json")
