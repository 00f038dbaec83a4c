"""Trainings in separate processes that are stopped, and resumed by the next process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from reefline.errors import CheckpointError, ReeflineError
from reefline.od_api import compat
from reefline.training.history import read_history
from reefline.training.report import TrainingReport, TrainingState
from tests.factories_training import build_config, make_tiny_settings, write_splits
from tests.training_process import start_training

SETTINGS = make_tiny_settings(batch_size=2, num_steps=8, steps_per_eval=2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_splits(tmp_path_factory.mktemp("data"), train=6, evaluation=2)


@pytest.fixture(scope="module")
def killed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed after its first evaluation, with an incomplete checkpoint in its folder."""
    folder = tmp_path_factory.mktemp("killed")
    with start_training(folder, data, SETTINGS) as process:
        _wait_for_evaluations(folder, 1, process)
        process.kill()
        process.communicate()
    (folder / "checkpoints" / "ckpt-998.data-00000-of-00001").write_bytes(b"half of it")
    (folder / "checkpoints" / "ckpt-999_temp").mkdir()
    return folder


@pytest.fixture(scope="module")
def at_the_kill(killed: Path) -> TrainingState:
    return TrainingState.read(killed / "state.json")


@pytest.fixture(scope="module")
def resumed(killed: Path, at_the_kill: TrainingState, data: Path) -> str:
    """What the next process printed."""
    process = start_training(killed, data, SETTINGS)
    output, errors = process.communicate(timeout=180)
    assert process.returncode == 0, errors[-2000:]
    return output


def test_a_killed_run_is_resumed(killed: Path, at_the_kill: TrainingState, resumed: str) -> None:
    assert 2 <= at_the_kill.step < 8
    assert f"Resuming from step {at_the_kill.step}." in resumed
    report = TrainingReport.read(killed / "training.json")
    assert [point.step for point in report.evaluations] == [2, 4, 6, 8]
    known = len(at_the_kill.evaluations)
    assert report.evaluations[:known] == at_the_kill.evaluations
    assert report.seconds > at_the_kill.seconds
    assert resumed.count("mAP_50") == 4 - known
    assert [point.step for point in read_history(killed / "history.jsonl")] == [1]
    assert re.search(r"All 8 steps done\. Best mAP \d\.\d{3} at step \d\.", resumed)


def test_incomplete_checkpoints_are_deleted(killed: Path, resumed: str) -> None:
    names = {path.name for path in (killed / "checkpoints").iterdir()}
    assert not [name for name in names if name.startswith(("ckpt-998", "ckpt-999"))]
    best = TrainingReport.read(killed / "training.json").best_step
    assert f"ckpt-{best}.index" in {path.name for path in (killed / "best").iterdir()}


def test_weights_optimizer_and_learning_rate_come_back(killed: Path, resumed: str, data: Path) -> None:
    import tensorflow as tf

    compat.apply()
    from reefline.od_api.train_step import TrainStep
    from reefline.training.checkpoints import CheckpointStore

    step = TrainStep(build_config(data, SETTINGS))
    checkpoint = step.checkpoint()
    CheckpointStore(killed / "checkpoints", checkpoint).restore(6)
    rate_before_the_step = step.learning_rate
    step.run()
    step.run()
    assert int(step.global_step) == 8
    cosine = 0.5 * SETTINGS.learning_rate * (1 + np.cos(np.pi * (6 - 1) / (8 - 1)))
    assert rate_before_the_step == pytest.approx(cosine, rel=1e-5)
    CheckpointStore(killed / "checkpoints", checkpoint).restore(8)
    reader = tf.train.load_checkpoint(str(killed / "checkpoints" / "ckpt-8"))
    slots = [name for name in reader.get_variable_to_shape_map() if "OPTIMIZER_SLOT" in name and "momentum" in name]
    saved = sorted(float(np.abs(reader.get_tensor(name)).sum()) for name in slots)
    weights = step.model.trainable_variables
    restored = sorted(float(np.abs(step.optimizer.get_slot(v, "momentum").numpy()).sum()) for v in weights)
    assert len(slots) == len(weights)
    np.testing.assert_allclose(restored, saved, rtol=1e-6)


def test_a_finished_run_is_not_trained_again(killed: Path, resumed: str, data: Path, tmp_path: Path) -> None:
    process = start_training(killed, data, SETTINGS)
    output, errors = process.communicate(timeout=180)
    assert process.returncode == 0, errors[-2000:]
    assert "mAP_50" not in output
    assert "All 8 steps done." in output


def test_ctrl_c_saves_and_stops(data: Path, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"num_steps": 100_000, "steps_per_eval": 50_000})
    with start_training(tmp_path, data, settings) as process:
        assert process.stdout is not None
        first_line = process.stdout.readline()
        assert first_line.startswith("  step 1/100000")
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    state = TrainingState.read(tmp_path / "state.json")
    assert state.step >= 1
    assert f"Stopped at step {state.step} (checkpoint saved). Run the same command to resume." in output
    assert (tmp_path / "checkpoints" / f"ckpt-{state.step}.index").is_file()


def test_a_damaged_checkpoint_is_named(killed: Path, resumed: str) -> None:
    import tensorflow as tf

    compat.apply()
    from reefline.training.checkpoints import CheckpointStore

    index = killed / "checkpoints" / "ckpt-6.index"
    content = index.read_bytes()
    index.write_bytes(content[: len(content) // 2])
    store = CheckpointStore(killed / "checkpoints", tf.train.Checkpoint(step=tf.Variable(0)))
    with pytest.raises(CheckpointError, match=r"ckpt-6: cannot read the checkpoint to resume from .*; delete"):
        store.restore(6)
    index.write_bytes(content)


@pytest.mark.skipif(os.geteuid() != 0, reason="a file system that can be filled up needs root to mount")
def test_a_full_disk_leaves_earlier_checkpoints_intact(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], check=True)
    try:
        process = start_training(folder, data, SETTINGS.model_copy(update={"num_steps": 100, "steps_per_eval": 1}))
        _, errors = process.communicate(timeout=180)
        assert process.returncode != 0
        assert "No space left on device" in errors
        state = TrainingState.read(folder / "state.json")
        assert state.step >= 1
        assert (folder / "checkpoints" / f"ckpt-{state.step}.index").is_file()
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _wait_for_evaluations(folder: Path, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while len(TrainingState.read(folder / "state.json").evaluations) < count:
        assert process.poll() is None, process.communicate()[1][-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_evaluation_in_a_separate_process_finds_the_same(killed: Path, resumed: str, data: Path) -> None:
    compat.apply()
    from reefline.od_api.isolated_evaluation import evaluate_checkpoint, evaluate_in_child

    config = build_config(data, SETTINGS)
    config.eval_config.num_visualizations = 1
    prefix = str(killed / "checkpoints" / "ckpt-8")
    apart, here = evaluate_in_child(config, prefix), evaluate_checkpoint(config, prefix)
    assert apart.scalars == pytest.approx(here.scalars, rel=1e-5)
    assert apart.class_ap == here.class_ap
    np.testing.assert_array_equal(apart.pictures[0].shape, here.pictures[0].shape)
    found = TrainingReport.read(killed / "training.json").evaluations[-1]
    assert apart.loss == pytest.approx(found.loss, rel=1e-4)


def test_a_failed_evaluation_shows_the_last_lines_of_its_process(killed: Path, resumed: str, data: Path) -> None:
    compat.apply()
    from reefline.od_api.isolated_evaluation import evaluate_in_child

    with pytest.raises(ReeflineError, match=r"the evaluation process exited with code 1: .*nowhere"):
        evaluate_in_child(build_config(data, SETTINGS), str(killed / "nowhere"))
