"""trainer.start: serving, over several runs of one workspace. Each run builds on the one before."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.factories_runs import QUICK, PipelineRun, run_pipeline

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

WARM = {**QUICK, "demo.images": 24, "trainer.input_size": 96, "trainer.start": "serving"}
# Steps so small that the weights stay what they were: the start can be seen in the result.
STILL = {**WARM, "trainer.seed": 1, "trainer.learning_rate": 1e-12}


def checkpoint_of(run: PipelineRun, version: int) -> str:
    manifest = run.workspace / "serving" / "demo" / str(version) / "manifest.json"
    return str(json.loads(manifest.read_text())["checkpoint"])


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> PipelineRun:
    return run_pipeline(tmp_path_factory.mktemp("warm") / "ws", settings=WARM)


@pytest.fixture(scope="module")
def again(first: PipelineRun) -> PipelineRun:
    return run_pipeline(first.workspace, settings=WARM)


@pytest.fixture(scope="module")
def changed(again: PipelineRun) -> PipelineRun:
    return run_pipeline(again.workspace, settings=STILL)


@pytest.fixture(scope="module")
def changed_again(changed: PipelineRun) -> PipelineRun:
    return run_pipeline(changed.workspace, settings=STILL)


def test_a_first_run_starts_anew_and_says_so(first: PipelineRun) -> None:
    assert first.exit_code == 0, first.out
    assert "no model is serving yet; starting from new weights" in first.out
    assert Path(f"{checkpoint_of(first, 1)}.index").is_file()


def test_a_second_run_with_nothing_changed_does_nothing(again: PipelineRun) -> None:
    assert again.exit_code == 0, again.out
    assert again.components("started") == []
    assert again.summary["pushed"]["version"] == 1


def test_a_changed_training_starts_from_what_serves(changed: PipelineRun) -> None:
    import tensorflow as tf

    assert changed.exit_code == 0, changed.out
    assert f"Starting from {checkpoint_of(changed, 1)}: 324 of 324 variables restored (100.0 %" in changed.out
    name = (
        "model/_box_predictor/_prediction_heads/box_encodings/0/_box_encoder_layers/0/kernel/.ATTRIBUTES/VARIABLE_VALUE"
    )
    start, result = (tf.train.load_checkpoint(checkpoint_of(changed, version)) for version in (1, 2))
    np.testing.assert_allclose(result.get_tensor(name), start.get_tensor(name), atol=1e-6)


def test_repeating_the_changed_run_does_nothing(changed_again: PipelineRun) -> None:
    assert changed_again.exit_code == 0, changed_again.out
    assert changed_again.components("started") == []
    assert changed_again.summary["pushed"]["version"] == 2


def test_a_checkpoint_that_was_deleted_stops_the_run_with_one_message(changed_again: PipelineRun) -> None:
    shutil.rmtree(Path(checkpoint_of(changed_again, 2)).parent)
    run = run_pipeline(changed_again.workspace, settings={**WARM, "trainer.seed": 2})
    assert run.exit_code == 2
    assert run.summary["failure"]["component"] == "Trainer"
    assert "2/manifest.json names the checkpoint" in run.out
    assert "set start to " in run.out
    assert "Traceback" not in run.out
