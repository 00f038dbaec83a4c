"""`reefline verify` with real images and a real model: once in its own process, otherwise in this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from reefline.cli import app
from tests.factories import make_data_set

REPO_DIR = Path(__file__).resolve().parents[2]
COCO_DETECTOR = REPO_DIR / ".." / "shared" / "models" / "coco_ssd_mobilenet_v1_1.0_quant.tflite"
CONFIG = """\
model_name: pets
data: {eval_fraction: 0.4}
trainer:
  model: ssd_mobilenet_v2_tiny
  input_size: 96
  batch_size: 4
  num_steps: 40
  steps_per_eval: 20
  warmup_steps: 4
gate: {min_map: 0.1}
"""


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "pets.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return make_data_set(tmp_path / "data", images=40)


def _verify_in_a_process(*arguments: str | Path, cache: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("TF_USE_LEGACY_KERAS",)}
    return subprocess.run(
        [sys.executable, "-m", "reefline", "verify", *map(str, arguments)],
        cwd=REPO_DIR,
        env={**environment, "XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def _verify(*arguments: str | Path, cache: Path) -> Result:
    """Verify in this process, which imports TensorFlow once for all tests."""
    return CliRunner().invoke(app, ["verify", *map(str, arguments)], env={"XDG_CACHE_HOME": str(cache)})


def test_a_run_that_can_start(tmp_path: Path, config_file: Path, data_dir: Path) -> None:
    run = _verify_in_a_process("--config", config_file, "--data", data_dir, "--json", cache=tmp_path / "cache")
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stderr == ""
    report = json.loads(run.stdout)
    assert report["model_name"] == "pets"
    assert not [problem for problem in report["problems"] if problem["severity"] == "error"]
    assert report["data"]["train_images"] + report["data"]["eval_images"] == 40
    assert report["data"]["classes"] == ["cat", "dog"]
    assert report["model"]["image_batch"] == [4, 96, 96, 3]
    assert report["model"]["class_scores"] == [4, report["model"]["anchors"], 3]
    assert report["model"]["trainable_parameters"] > 800_000
    assert report["first_loss"] > 0
    memory, timings, estimate = report["memory"], report["timings"], report["estimate"]
    # One slot of momentum for each trainable parameter.
    assert memory["optimizer"] >= 4 * report["model"]["trainable_parameters"]
    assert memory["weights"] == pytest.approx(4 * report["model"]["total_parameters"], rel=1e-3)
    assert memory["peak_resident"] > memory["weights"]
    assert timings["first_step_s"] > timings["step_s"] > 0
    assert timings["evaluation_image_s"] > 0
    assert estimate["evaluations"] == 2
    assert estimate["training_s"] == pytest.approx(39 * timings["step_s"])
    assert estimate["total_s"] > timings["start_s"] + timings["first_step_s"]
    assert (report["edgetpu"]["ops_on_tpu"], report["edgetpu"]["ops_total"]) == (98, 101)


def test_without_a_config_the_recommended_one_is_verified(tmp_path: Path, data_dir: Path) -> None:
    wishes = ("--set", "trainer.model=ssd_mobilenet_v2_tiny", "--set", "trainer.input_size=96", "--minutes", "2")
    run = _verify("--data", data_dir, *wishes, "--json", cache=tmp_path / "cache")
    assert run.exit_code == 0, run.stdout + run.stderr
    report = json.loads(run.stdout)
    assert (report["config"], report["model_name"]) == ("recommended for 2 minutes", "detector")
    assert report["model"]["image_batch"] == [8, 96, 96, 3]


def test_a_model_that_does_not_map_well_enough_is_an_error(tmp_path: Path, config_file: Path, data_dir: Path) -> None:
    wish = ("--set", "gate.min_edgetpu_ops=1.0")
    run = _verify("--config", config_file, "--data", data_dir, *wish, cache=tmp_path / "cache")
    assert run.exit_code == 2, run.stdout + run.stderr
    assert "error: gate.min_edgetpu_ops: share of operations on the Edge TPU (98 of 101)" in run.stdout
    assert "Edge TPU        98 of 101 operators run on the Edge TPU (a prediction" in run.stdout


def test_bad_configs_are_told_of_in_full(tmp_path: Path, config_file: Path, data_dir: Path) -> None:
    arguments = [
        "trainer.batch_size=500",
        "trainer.input_size=40",
        "trainer.steps_per_eval=90",
        "trainer.start=nowhere/ckpt-0",
        "data.test_fraction=0.7",
        "data.beam_args=[--runner=FlinkRunner, --temp_location=s3://bucket/tmp]",
        "validation.severities.no_such_rule=off",
    ]
    overrides = [argument for text in arguments for argument in ("--set", text)]
    run = _verify("--config", config_file, "--data", data_dir, *overrides, cache=tmp_path / "cache")
    assert run.exit_code == 2, run.stdout + run.stderr
    assert "Traceback" not in run.stdout + run.stderr
    lines = run.stdout.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    for words in (
        "data.eval_fraction + data.test_fraction: 1.1",
        "the workers of FlinkRunner (data.beam_args) cannot read this folder",
        "validation.severities: unknown rule 'no_such_rule'",
        "trainer.batch_size: 500, but only",
        "nowhere/ckpt-0 does not exist",
        "trainer.input_size: 40x40 px; expected 96 to 2048 px",
    ):
        assert sum(words in line for line in errors) == 1, words
    assert any(line.startswith("warning: trainer.steps_per_eval: 90 is more than") for line in lines)
    assert lines[-1] == f"NOT READY: {len(errors)} error(s), 1 warning(s)"


@pytest.mark.skipif(not COCO_DETECTOR.is_file(), reason="../shared/models is missing")
def test_weights_of_another_architecture_are_an_error(tmp_path: Path, config_file: Path, data_dir: Path) -> None:
    wish = ("--set", f"trainer.start={COCO_DETECTOR}")
    run = _verify("--config", config_file, "--data", data_dir, *wish, cache=tmp_path / "cache")
    assert run.exit_code == 2, run.stdout + run.stderr
    assert "these weights belong to trainer.model: ssd_mobilenet_v1_300" in run.stdout
    assert run.stdout.splitlines()[-1].startswith("NOT READY: 1 error(s)")


def test_values_that_are_no_values_hide_nothing_else(tmp_path: Path, config_file: Path) -> None:
    overrides = ["--set", "trainer.batch_size=0", "--set", "oops", "--set", "trainer.input_size=40"]
    run = _verify("--config", config_file, "--data", tmp_path / "none", *overrides, cache=tmp_path / "cache")
    assert run.exit_code == 2, run.stdout + run.stderr
    for words in (
        "--set oops: expected KEY=VALUE",
        "trainer.batch_size: found 0",
        "none: no such folder",
        "trainer.input_size: 40x40 px",
    ):
        assert f"{words}" in run.stdout
    assert run.stdout.splitlines()[-1] == "NOT READY: 4 error(s), 0 warning(s)"


def test_a_rate_that_diverges_is_told_with_its_files(tmp_path: Path, config_file: Path, data_dir: Path) -> None:
    overrides = ["--set", "trainer.learning_rate=1e9", "--set", "trainer.warmup_steps=0"]
    run = _verify("--config", config_file, "--data", data_dir, *overrides, cache=tmp_path / "cache")
    assert run.exit_code == 2, run.stdout + run.stderr
    assert "expected a finite loss; lower trainer.learning_rate" in run.stdout
    assert "image_0" in run.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--config", "none.yaml"], "none.yaml: no such config file", id="no-config"),
        pytest.param([], "no data set: pass --data DIR", id="no-data"),
    ],
)
def test_nothing_to_verify(tmp_path: Path, config_file: Path, arguments: list[str], message: str) -> None:
    run = _verify(*(arguments or ["--config", config_file]), cache=tmp_path / "cache")
    assert run.exit_code == 2, run.stdout + run.stderr
    assert message in run.stdout
