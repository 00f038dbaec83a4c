"""One training that is killed again and again at random moments, and still loses nothing that it had written down."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from reefline.training.report import TrainingReport, TrainingState
from tests.factories_training import make_tiny_settings, write_splits
from tests.training_process import start_training

pytestmark = pytest.mark.slow
KILLS = 20
STEPS_PER_EVAL = 2
SETTINGS = make_tiny_settings(
    batch_size=2,
    num_steps=1000 * STEPS_PER_EVAL,
    steps_per_eval=STEPS_PER_EVAL,
    learning_rate=0.001,
    sample_images=1,
)
# Long enough for a whole cycle, so that the kills fall on steps, writes and evaluations alike.
LONGEST_LIFE_S = 4.0


def test_a_run_that_is_killed_twenty_times_loses_nothing(tmp_path: Path) -> None:
    data, folder = tmp_path / "data", tmp_path / "run"
    folder.mkdir()
    write_splits(data, train=6, evaluation=2)
    generator = random.Random(20)
    before = TrainingState()
    for _ in range(KILLS):
        _train_and_kill(folder, data, generator.uniform(0.0, LONGEST_LIFE_S))
        after = TrainingState.read(folder / "state.json")
        assert after.step >= before.step
        assert after.seconds >= before.seconds
        assert after.evaluations[: len(before.evaluations)] == before.evaluations
        before = after
    assert before.step >= KILLS
    last = SETTINGS.model_copy(update={"num_steps": before.step + STEPS_PER_EVAL})
    process = start_training(folder, data, last)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-2000:]
    assert f"Resuming from step {before.step}." in output
    report = TrainingReport.read(folder / "training.json")
    assert [point.step for point in report.evaluations] == list(range(2, last.num_steps + 1, STEPS_PER_EVAL))
    assert (folder / "best" / f"ckpt-{report.best_step}.index").is_file()


def _train_and_kill(folder: Path, data: Path, life_s: float) -> None:
    """Let a process live for `life_s` after its first step."""
    with start_training(folder, data, SETTINGS) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("  step "):
                break
        assert process.poll() is None, process.communicate()[1][-2000:]
        time.sleep(life_s)
        process.kill()
        process.communicate()
