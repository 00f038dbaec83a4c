"""The estimated time of a run, from a few measured steps and images."""

from __future__ import annotations

import math

from reefline.settings import TrainerSettings
from reefline.verification.records import DataFacts, RunEstimate, Timings


def estimate_run(settings: TrainerSettings, data: DataFacts, timings: Timings) -> RunEstimate:
    """Return how long training takes if it runs to its last step; early stopping can only make it shorter.

    The first step and the first evaluation include tracing and count as measured; later ones count with the median.
    With `isolate_evaluation`, every evaluation starts a new process, which builds and traces again.
    """
    evaluations = math.ceil(settings.num_steps / settings.steps_per_eval)
    traces = timings.first_evaluation_s * (evaluations if settings.isolate_evaluation else 1)
    restarts = timings.start_s * evaluations if settings.isolate_evaluation else 0.0
    return RunEstimate(
        start_s=timings.start_s + timings.first_step_s,
        training_s=(settings.num_steps - 1) * timings.step_s,
        evaluations=evaluations,
        evaluation_s=traces + restarts + evaluations * data.eval_images * timings.evaluation_image_s,
        epochs=settings.num_steps * settings.batch_size / data.train_images if data.train_images else 0.0,
    )
