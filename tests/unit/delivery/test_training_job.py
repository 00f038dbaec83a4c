"""kubernetes/training-job.yaml: what the Training Operator accepts, and commands that Reefline has."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from pipeline.local.command import app as local_app
from reefline.config.overrides import parse_override
from reefline.config.run_config import load_config
from reefline.settings import DistributionStrategy
from reefline.structures.artifacts import ModelRunFolder

REPO = Path(__file__).resolve().parents[3]
SCHEMA = json.loads((Path(__file__).parent / "tfjob.schema.json").read_text(encoding="utf-8"))
# What the operator's webhook looks for (training-operator, pkg/apis/kubeflow.org/v1/tensorflow_types.go).
CONTAINER, PORT_NAME, PORT = "tensorflow", "tfjob-port", 2222


def load_job() -> Any:
    return yaml.safe_load((REPO / "kubernetes" / "training-job.yaml").read_text(encoding="utf-8"))


def get_pod(job: Any, replica: str) -> Any:
    return job["spec"]["tfReplicaSpecs"][replica]["template"]["spec"]


def get_container(job: Any, replica: str) -> Any:
    (container,) = get_pod(job, replica)["containers"]
    return container


def rename_container(job: Any) -> None:
    get_container(job, "Chief")["name"] = "trainer"


def add_a_second_chief(job: Any) -> None:
    job["spec"]["tfReplicaSpecs"]["Chief"]["replicas"] = 2


def misspell_a_field(job: Any) -> None:
    job["spec"]["tfReplicaSpecs"]["Worker"]["replica"] = 3


def misspell_a_policy(job: Any) -> None:
    job["spec"]["runPolicy"]["cleanPodPolicy"] = "running"


def test_the_job_conforms_to_the_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(load_job(), SCHEMA)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(rename_container, "contain|valid under", id="no container named tensorflow"),
        pytest.param(add_a_second_chief, "1 was expected", id="two chiefs"),
        pytest.param(misspell_a_field, "'replica' was unexpected", id="unknown field"),
        pytest.param(misspell_a_policy, "'running' is not one of", id="unknown policy"),
    ],
)
def test_the_schema_refuses_what_the_operator_refuses(damage: Callable[[Any], None], message: str) -> None:
    job = copy.deepcopy(load_job())
    damage(job)
    with pytest.raises(jsonschema.ValidationError, match=message):
        jsonschema.validate(job, SCHEMA)


@pytest.mark.parametrize("replica", ["Chief", "Worker"])
def test_every_mount_has_its_volume_and_every_pod_the_operators_port(replica: str) -> None:
    job = load_job()
    container, pod = get_container(job, replica), get_pod(job, replica)
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert {"name": PORT_NAME, "containerPort": PORT} in container["ports"]
    assert container["name"] == CONTAINER


def test_all_pods_see_the_folder_under_the_same_path() -> None:
    job = load_job()
    chief, worker = get_container(job, "Chief"), get_container(job, "Worker")
    assert chief["image"] == worker["image"]
    assert chief["volumeMounts"] == worker["volumeMounts"]
    assert get_pod(job, "Chief")["volumes"] == get_pod(job, "Worker")["volumes"]


def test_the_chief_runs_the_pipeline_with_options_that_exist() -> None:
    chief = get_container(load_job(), "Chief")
    assert chief["command"] == ["python", "local_runner.py"]
    options = dict(argument.removeprefix("--").split("=", 1) for argument in chief["args"])
    known = {name for parameter in local_app.registered_commands for name in _list_options(parameter.callback)}
    assert options.keys() <= known
    config = load_config(REPO / options["config"], [parse_override(options["set"])])
    assert config.trainer.strategy is DistributionStrategy.MULTI_WORKER


def _list_options(callback: Any) -> set[str]:
    import typer.main

    command = typer.main.get_command(local_app)
    return {name.removeprefix("--") for parameter in command.params for name in parameter.opts}


def test_a_worker_waits_for_the_chiefs_training_and_joins_it(tmp_path: Path) -> None:
    """Run the worker's script with its paths moved, and a `reefline` that records what it is called with."""
    job = load_job()
    workspace = next(
        argument.removeprefix("--workspace=")
        for argument in get_container(job, "Chief")["args"]
        if argument.startswith("--workspace=")
    )
    moved = tmp_path / "shared"
    (script,) = get_container(job, "Worker")["args"]
    assert workspace in script
    script = script.replace(workspace, str(moved)).replace("sleep 5", "sleep 0.1")
    programs = tmp_path / "bin"
    programs.mkdir()
    fake = programs / "reefline"
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    fake.chmod(0o755)
    process = subprocess.Popen(
        ["sh", "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
    )
    try:
        time.sleep(0.5)
        assert process.poll() is None
        run = ModelRunFolder(moved / "artifacts" / "Trainer" / "model_run" / ".unfinished" / "4f0c")
        run.job.parent.mkdir(parents=True)
        run.job.write_text("{}", encoding="utf-8")
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert output.split() == ["train-worker", str(run.root)]
