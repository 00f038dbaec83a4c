"""What KFP's releases hand to a container, and what they accept back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.kubeflow.executor_input import parse_executor_input, write_executor_output, write_output_parameters
from reefline.bundle.signature import check_signature, load_signer
from reefline.errors import UsageError
from tests.factories_keys import write_key_pair
from tests.factories_kubeflow import RUN_ID, compile_package, make_executor_input, read_output

SPEC = json.dumps(
    {
        "artifacts": {"model": {"artifactType": {"instanceSchema": "title: tfx.Model\ntype: object\n"}}},
        "parameters": {"steps": {"parameterType": "NUMBER_INTEGER"}, "rate": {"parameterType": "NUMBER_DOUBLE"}},
    }
)


@pytest.mark.parametrize(
    "type",
    [
        pytest.param({"instanceSchema": ""}, id="stripped-by-2.x"),
        pytest.param({"schemaTitle": "tfx.Model", "schemaVersion": "0.0.1"}, id="without-mlmd"),
        pytest.param({"instanceSchema": "title: tfx.Model\ntype: object\n"}, id="complete"),
        pytest.param(None, id="missing"),
    ],
)
def test_a_type_is_found_wherever_it_is(tmp_path: Path, type: dict[str, str] | None) -> None:
    given = {"uri": "s3://b/model", **({"type": type} if type is not None else {})}
    task = parse_executor_input(make_executor_input(tmp_path, inputs={"model": given}), SPEC)
    assert task.inputs["model"].title == "tfx.Model"
    assert task.inputs["model"].path == Path("/s3/b/model")


def test_numbers_that_came_as_doubles_are_integers_where_the_spec_says_so(tmp_path: Path) -> None:
    text = make_executor_input(tmp_path, parameters={"steps": 3.0, "rate": 2.0})
    parameters = parse_executor_input(text, SPEC).parameters
    assert (parameters["steps"], type(parameters["steps"]), type(parameters["rate"])) == (3, int, float)


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        pytest.param("given-by-kfp", "given-by-kfp", id="resolved"),
        pytest.param("{{$.pipeline_job_uuid}}", RUN_ID, id="unresolved"),
        pytest.param("", RUN_ID, id="missing"),
    ],
)
def test_the_run_id_comes_from_the_parameter_or_the_outputs(tmp_path: Path, parameter: str, expected: str) -> None:
    text = make_executor_input(tmp_path, parameters={"run_id": parameter}, outputs={"model": {}})
    assert parse_executor_input(text).run_id == expected


def test_what_must_not_key_the_cache_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = make_executor_input(tmp_path, parameters={"data_dir": "env:REEFLINE_DATA"})
    monkeypatch.delenv("REEFLINE_DATA", raising=False)
    with pytest.raises(UsageError, match="REEFLINE_DATA is not set; compile the package again"):
        parse_executor_input(text)
    monkeypatch.setenv("REEFLINE_DATA", "")
    with pytest.raises(UsageError, match="REEFLINE_DATA is empty; compile the package again"):
        parse_executor_input(text)
    monkeypatch.setenv("REEFLINE_DATA", "s3://b/data")
    assert parse_executor_input(text).parameters["data_dir"] == "s3://b/data"


def test_no_other_parameter_gets_the_content_of_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "secret")
    text = make_executor_input(tmp_path, parameters={"signing_key": "env:KEY", "data_dir": "env:KEY"})
    assert parse_executor_input(text).parameters == {"signing_key": "env:KEY", "data_dir": "env:KEY"}


def test_the_pusher_of_a_package_signs_with_the_key_of_its_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/security.md shows this config."""
    secrets = "[{name: reefline-signing, env: {key: REEFLINE_SIGNING_KEY}}]"
    package = compile_package(
        "push.signing_key=env:REEFLINE_SIGNING_KEY", f"kubeflow.tasks={{Pusher: {{secrets: {secrets}}}}}"
    )
    given = package.pipeline["root"]["dag"]["tasks"]["Pusher"]["inputs"]["parameters"]
    constants = {key: one["runtimeValue"]["constant"] for key, one in given.items() if "runtimeValue" in one}
    keys = write_key_pair(tmp_path / "keys")
    monkeypatch.setenv("REEFLINE_SIGNING_KEY", keys.private.read_text())
    parameters = parse_executor_input(make_executor_input(tmp_path, parameters=constants)).parameters
    assert "PRIVATE KEY" not in str(parameters)
    check_signature(b"manifest", load_signer(parameters["signing_key"])(b"manifest"), keys.public, "m")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("{{$}}", "the executor input is not JSON", id="placeholder"),
        pytest.param("[]", "the executor input is list; expected an object", id="list"),
    ],
)
def test_a_malformed_input_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_executor_input(text)


def test_the_outputs_that_are_written(tmp_path: Path) -> None:
    text = make_executor_input(tmp_path, outputs={"model": {}}, output_parameters=("version", "sha256"))
    task = parse_executor_input(text)
    write_executor_output(task, {"model": {"version": 3, "path": "s3://b/1"}})
    write_output_parameters(task, {"version": 7, "sha256": ""})
    written = read_output(tmp_path)["model"]
    assert written == {
        "name": "model",
        "uri": task.outputs["model"].uri,
        "metadata": {"version": 3, "path": "s3://b/1"},
    }
    assert {name: Path(path).read_text() for name, path in task.output_parameters.items()} == {
        "version": "7",
        "sha256": "",
    }
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_executor_output(task, {"model": {"map": float("nan")}})
