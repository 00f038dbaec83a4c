"""Resolvers: the same values as the drivers', as output parameters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.kubeflow import resolve
from pipeline.kubeflow.executor_input import parse_executor_input
from reefline.data.fingerprint import fingerprint_data
from reefline.settings import IngestionSettings, TrainerSettings
from tests.factories import add_image, make_data_set
from tests.factories_keys import write_key_pair
from tests.factories_kubeflow import RUN_ID, make_executor_input

TRAINER = TrainerSettings(model="ssd_mobilenet_v2_tiny", start="serving").to_json()


def _resolve(what: str, text: str) -> tuple[int, dict[str, str]]:
    code = resolve.main([what, "--executor_input", text])
    files = parse_executor_input(text).output_parameters
    return code, {name: Path(file).read_text() for name, file in files.items() if Path(file).is_file()}


def _ask_for_data(folder: Path, data_dir: Path) -> tuple[int, dict[str, str]]:
    parameters = {"data_dir": str(data_dir), "settings": IngestionSettings().to_json(), "run_id": RUN_ID}
    return _resolve(
        "data", make_executor_input(folder, parameters=parameters, output_parameters=("input_fingerprint",))
    )


def test_data_is_what_the_driver_finds_wherever_it_lies(tmp_path: Path) -> None:
    data = make_data_set(tmp_path / "data")
    expected = fingerprint_data(data, IngestionSettings(), tmp_path / "memory.db")
    assert _ask_for_data(tmp_path, data) == (0, {"input_fingerprint": expected})
    moved = data.rename(tmp_path / "elsewhere")
    assert _ask_for_data(tmp_path, moved) == (0, {"input_fingerprint": expected})
    add_image(moved, "another", seed=9)
    assert _ask_for_data(tmp_path, moved)[1] != {"input_fingerprint": expected}


def test_missing_data_is_exit_2_and_a_failed_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REEFLINE_REPORTS", str(tmp_path / "reports"))
    assert _ask_for_data(tmp_path, tmp_path / "nothing") == (2, {})
    assert "nothing" in capsys.readouterr().err
    summary = json.loads((tmp_path / "reports" / RUN_ID / "summary.json").read_text())
    assert summary["failure"]["component"] == "ResolveData"


def test_a_signing_key_that_cannot_be_read_stops_the_run_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REEFLINE_REPORTS", str(tmp_path / "reports"))
    text = make_executor_input(tmp_path, parameters={"signing_key": "env:KEY", "run_id": RUN_ID})
    assert _resolve("signing-key", text) == (2, {})
    assert "push.signing_key: env:KEY: the environment variable is not set" in capsys.readouterr().err
    summary = json.loads((tmp_path / "reports" / RUN_ID / "summary.json").read_text())
    assert summary["failure"]["component"] == "CheckSigningKey"
    monkeypatch.setenv("KEY", write_key_pair(tmp_path / "keys").private.read_text())
    assert _resolve("signing-key", text) == (0, {})


def test_nothing_serves_before_the_first_push(tmp_path: Path) -> None:
    text = make_executor_input(
        tmp_path,
        parameters={"destination": str(tmp_path / "serving"), "model_name": "demo"},
        inputs={"model": {"uri": str(tmp_path / "model")}},
        output_parameters=("serving_version", "serving_sha256"),
    )
    assert _resolve("serving", text) == (0, {"serving_version": "0", "serving_sha256": ""})


def test_without_a_serving_model_the_start_is_the_other_one(tmp_path: Path) -> None:
    parameters = {"settings": TRAINER, "serving_home": str(tmp_path / "serving" / "demo"), "input_fingerprint": "d"}
    text = make_executor_input(tmp_path, parameters=parameters, output_parameters=("start",))
    assert _resolve("start", text) == (0, {"start": ""})


def test_a_demo_data_set_is_the_same_in_every_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = []
    for pod in ("one", "two"):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / pod))
        (tmp_path / pod).mkdir()
        parameters = {"data_dir": "demo:12:0", "settings": IngestionSettings().to_json()}
        text = make_executor_input(tmp_path / pod, parameters=parameters, output_parameters=("input_fingerprint",))
        values.append(_resolve("data", text))
    assert values[0] == values[1] and values[0][0] == 0
