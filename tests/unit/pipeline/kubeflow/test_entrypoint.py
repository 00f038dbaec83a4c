"""The entrypoint as KFP's launcher starts it: types, URIs, outputs that KFP adds, and how a task ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.kubeflow import entrypoint, executor_input
from tests.factories_kubeflow import RUN_ID, make_executor_input, read_output

EXECUTOR = "tests.executors_kubeflow.Recorder"
SPEC = json.dumps({"artifacts": {"model": {"artifactType": {"instanceSchema": "title: tfx.Model\ntype: object\n"}}}})


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pod in which s3:// lies in a temporary folder instead of /s3."""

    def to_local_path(uri: str) -> str:
        return uri.replace("s3://", f"{tmp_path}/s3/")

    monkeypatch.setattr(executor_input, "to_local_path", to_local_path)
    return tmp_path


def _run(folder: Path, *, path: str = EXECUTOR, extra: tuple[str, ...] = (), **properties: Any) -> int:
    text = make_executor_input(
        folder,
        parameters=properties,
        inputs={
            "model": {
                "uri": "s3://b/run/model",
                "type": {"instanceSchema": ""},
                "metadata": {
                    "version": 4.0,
                    "current_model": "s3://b/run/model",
                    "checkpoint": "s3://b/other/model_run/best/ckpt-9",
                },
            }
        },
        outputs={
            "model_run": {"uri": "s3://b/run/model_run", "type": {"schemaTitle": "tfx.ModelRun"}},
            "executor-logs": {"uri": "s3://b/run/logs", "type": {"schemaTitle": "system.Artifact"}},
        },
    )
    arguments = ["--executor_class_path", path, "--json_serialized_invocation_args", text]
    return entrypoint.main([*arguments, "--json_serialized_inputs_spec_args", SPEC, *extra])


def _seen(store: Path) -> dict[str, Any]:
    seen: dict[str, Any] = json.loads((store / "s3" / "b" / "run" / "model_run" / "seen.json").read_text())
    return seen


def test_the_executor_gets_typed_artifacts_at_local_paths(store: Path) -> None:
    assert _run(store, run_id=RUN_ID, setting="x") == 0
    local = f"{store}/s3/b/run"
    assert _seen(store) == {
        "inputs": ["model"],
        "outputs": ["model_run"],
        "type": "Model",
        "uri": f"{local}/model",
        "current_model": f"{local}/model",
        "checkpoint": "s3://b/other/model_run/best/ckpt-9",
        "version": 4,
        "properties": {"setting": "x"},
        "run_id": RUN_ID,
    }


def test_the_output_has_uris_facts_and_nothing_of_kfp(store: Path) -> None:
    assert _run(store, run_id=RUN_ID) == 0
    output = read_output(store)
    assert output.keys() == {"model_run"}
    assert output["model_run"]["uri"] == "s3://b/run/model_run"
    metadata = output["model_run"]["metadata"]
    assert (metadata["checkpoint"], metadata["fact"]) == ("s3://b/run/model_run/best/ckpt-1", 7)
    assert metadata["reefline_run_id"] == RUN_ID and metadata["reefline_seconds"] >= 0
    assert None not in metadata.values()


def test_an_input_without_files_is_an_empty_folder(store: Path) -> None:
    assert _run(store) == 0
    assert (store / "s3" / "b" / "run" / "model").is_dir()


def test_a_user_error_is_exit_2_a_line_and_a_failed_summary(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REEFLINE_REPORTS", str(store / "reports"))
    monkeypatch.setenv("REEFLINE_MODEL", "demo")
    assert _run(store, run_id=RUN_ID, behaviour="user_error") == 2
    printed = capsys.readouterr().err
    assert "error: a.xml, object 0: xmax 3 is left of xmin 9" in printed and "Traceback" not in printed
    summary = json.loads((store / "reports" / RUN_ID / "summary.json").read_text())
    assert (summary["verdict"], summary["run_id"], summary["model"]) == ("FAILED", RUN_ID, "demo")
    assert summary["data"]["findings"][0]["rule"] == "box_degenerate"
    assert not (store / "output" / "output_metadata.json").exists()


def test_an_unexpected_error_keeps_its_traceback(store: Path) -> None:
    with pytest.raises(RuntimeError, match="something else"):
        _run(store, behaviour="crash")


def test_a_package_of_other_code_is_refused(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = "components.serving_bundle.component.ServingBundle_Executor"
    assert _run(store, path=path, code="0" * 64) == 2
    assert "compiled from other code (fingerprint 000000000000)" in capsys.readouterr().err


def test_a_pod_without_a_home_gets_one(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    assert _run(store) == 0
    assert Path.home().is_dir()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        pytest.param("components.edge_tpu_exporter.component.EdgeTpuExporter_Executor", "EdgeTpuExporter", id="own"),
        pytest.param("tfx.components.statistics_gen.executor.Executor", "StatisticsGen", id="stock"),
    ],
)
def test_a_component_is_named_as_in_the_summary(path: str, name: str, tmp_path: Path) -> None:
    arguments = ["--executor_class_path", path, "--json_serialized_invocation_args", make_executor_input(tmp_path)]
    assert entrypoint.parse_arguments(arguments).name == name


def test_other_options_go_to_beam(tmp_path: Path) -> None:
    text = make_executor_input(tmp_path)
    options = ["--executor_class_path", EXECUTOR, "--json_serialized_invocation_args", text, "--runner=FlinkRunner"]
    assert entrypoint.parse_arguments(options).beam_args == ("--runner=FlinkRunner",)
