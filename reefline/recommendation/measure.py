"""The seconds of a training step and of an evaluation, measured by a miniature run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from reefline.od_api import model_config
from reefline.od_api.trial import Trial
from reefline.settings import TrainerSettings
from reefline.verification.records import Timings

if TYPE_CHECKING:
    from reefline.verification.sample import DataSample

# The trial's own few steps differ by a factor of two on a busy machine, and every step of the run follows from them.
MORE_STEPS = 30
MORE_STEPS_S = 10.0


def measure_timings(settings: TrainerSettings, sample: DataSample, import_s: float) -> Timings:
    """Train a few steps on a sample, evaluate a few images, and return the seconds.

    `import_s` is how long TensorFlow's import took. The model starts from random weights: they cost as much as others.

    Raises:
        OutOfMemoryError: the batch does not fit in memory; the message says what to try.
    """
    template = model_config.load_template(settings.model)
    boxes = max(1, sample.facts.max_boxes_per_image)
    files = model_config.TrainingFiles((sample.train_records,), (sample.eval_records,), sample.label_map, boxes)
    trial = Trial(model_config.build_pipeline_config(template, settings, files), settings.seed)
    trained = trial.train()
    step_s = time_more_steps(trial.step.run) or trained.step_s
    evaluated = trial.evaluate(sample.eval_images)
    return Timings(
        start_s=import_s + trained.build_s,
        first_step_s=trained.first_step_s,
        step_s=step_s,
        first_evaluation_s=evaluated.first_s,
        evaluation_image_s=evaluated.image_s,
    )


def time_more_steps(run_step: Callable[[], object]) -> float | None:
    """Return the median seconds of up to MORE_STEPS steps; None if fewer than three fit in MORE_STEPS_S."""
    seconds: list[float] = []
    while len(seconds) < MORE_STEPS and sum(seconds) < MORE_STEPS_S:
        started_s = time.monotonic()
        run_step()
        seconds.append(time.monotonic() - started_s)
    return statistics.median(seconds) if len(seconds) >= 3 else None
