"""The seconds of a training step and of an evaluation, measured by a miniature run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reefline.od_api import model_config
from reefline.od_api.trial import Trial
from reefline.settings import TrainerSettings
from reefline.verification.records import Timings

if TYPE_CHECKING:
    from reefline.verification.sample import DataSample


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
    evaluated = trial.evaluate(sample.eval_images)
    return Timings(
        start_s=import_s + trained.build_s,
        first_step_s=trained.first_step_s,
        step_s=trained.step_s,
        first_evaluation_s=evaluated.first_s,
        evaluation_image_s=evaluated.image_s,
    )
