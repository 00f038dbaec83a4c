"""The training loop: train, save, evaluate, repeat, in one process and with each function traced once."""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reefline.errors import TrainingDivergedError
from reefline.od_api.evaluation import Evaluation, EvaluationOutcome
from reefline.od_api.fine_tune import resolve_checkpoint
from reefline.od_api.train_step import StepResult, TrainStep
from reefline.progress import TrainingProgress
from reefline.settings import TrainerSettings
from reefline.training_report import EvaluationPoint, StopReason, TrainingReport

if TYPE_CHECKING:
    import tensorflow as tf
    from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

SUMMARY_EVERY_STEPS = 20
CHECKPOINTS_TO_KEEP = 3


@dataclass
class _Best:
    """The best evaluation so far and how many came after it without being better."""

    map: float | None = None
    step: int = 0
    evaluations_since: int = 0

    def update(self, point: EvaluationPoint) -> bool:
        """Take in one evaluation; return whether it is the best. The first one is, whatever it measured."""
        is_better = self.step == 0 or (point.map is not None and (self.map is None or point.map > self.map))
        if is_better:
            self.map, self.step, self.evaluations_since = point.map, point.step, 0
        else:
            self.evaluations_since += 1
        return is_better


def train_detector(
    config: TrainEvalPipelineConfig, settings: TrainerSettings, directory: Path, cache_dir: Path
) -> TrainingReport:
    """Train a detector; leave checkpoints/, best/ and TensorBoard's logs/ in `directory`.

    `best/` holds the checkpoint with the highest COCO mAP on the eval split. `cache_dir` keeps downloaded fine-tune
    checkpoints.

    Raises:
        TrainingDivergedError: a loss that is NaN or infinite; the message names the batch's files.
        CheckpointError: the fine-tune checkpoint cannot be had or does not fit.
    """
    _seed_everything(settings.seed)
    started_s = time.monotonic()
    step = TrainStep(config)
    if settings.fine_tune_checkpoint is not None:
        prefix = resolve_checkpoint(settings.fine_tune_checkpoint, cache_dir)
        step.load_fine_tune_checkpoint(prefix, settings.fine_tune_checkpoint.type)
    with TrainingProgress(settings.num_steps) as progress:
        loop = _Loop(step, Evaluation(config, step.model), settings, directory, progress)
        stop_reason = loop.run()
    return TrainingReport(
        steps=loop.steps_done,
        best_step=loop.best.step,
        best_map=loop.best.map,
        stop_reason=stop_reason,
        seconds=round(time.monotonic() - started_s, 3),
        parameters=step.parameters,
        evaluations=tuple(loop.points),
    )


def _seed_everything(seed: int) -> None:
    import numpy as np
    import tensorflow as tf

    random.seed(seed)
    np.random.seed(seed)
    tf.random.set_seed(seed)


class _Loop:
    """The state of one run of the loop."""

    def __init__(
        self,
        step: TrainStep,
        evaluation: Evaluation,
        settings: TrainerSettings,
        directory: Path,
        progress: TrainingProgress,
    ) -> None:
        import tensorflow as tf

        self._step = step
        self._evaluation = evaluation
        self._settings = settings
        self._progress = progress
        self._train_log = tf.summary.create_file_writer(str(directory / "logs" / "train"))
        self._eval_log = tf.summary.create_file_writer(str(directory / "logs" / "eval"))
        self._recent = _manager(step, directory / "checkpoints", CHECKPOINTS_TO_KEEP)
        self._best_checkpoint = _manager(step, directory / "best", 1)
        self.best = _Best()
        self.points: list[EvaluationPoint] = []
        self.steps_done = 0

    def run(self) -> StopReason:
        """Train until all steps are done or no evaluation was better for `early_stopping_patience` evaluations."""
        settings = self._settings
        while self.steps_done < settings.num_steps:
            for _ in range(min(settings.steps_per_eval, settings.num_steps - self.steps_done)):
                self._train_one_step()
            self._recent.save(checkpoint_number=self.steps_done)
            self._evaluate()
            patience = settings.early_stopping_patience
            if patience is not None and self.best.evaluations_since >= patience:
                return StopReason.EARLY_STOPPING
        return StopReason.ALL_STEPS_DONE

    def _train_one_step(self) -> None:
        learning_rate = self._step.learning_rate
        result = self._step.run()
        self.steps_done += 1
        _check_finite(result, self.steps_done)
        self._progress.step(self.steps_done, result.total_loss)
        if self.steps_done % SUMMARY_EVERY_STEPS == 0 or self.steps_done == 1:
            _log_scalars(self._train_log, {**result.losses, "learning_rate": learning_rate}, self.steps_done)

    def _evaluate(self) -> None:
        started_s = time.monotonic()
        outcome = self._evaluation.run()
        point = EvaluationPoint(step=self.steps_done, map=outcome.map, map_50=outcome.map_50, loss=outcome.loss)
        self.points.append(point)
        if self.best.update(point):
            self._best_checkpoint.save(checkpoint_number=self.steps_done)
        _log_scalars(self._eval_log, outcome.scalars, self.steps_done)
        _log_pictures(self._eval_log, outcome, self.steps_done)
        self._progress.evaluation(point, self.best.map, time.monotonic() - started_s)


def _manager(step: TrainStep, directory: Path, max_to_keep: int) -> tf.train.CheckpointManager:
    import tensorflow as tf

    return tf.train.CheckpointManager(
        step.checkpoint(), str(directory), max_to_keep=max_to_keep, checkpoint_name="ckpt"
    )


def _check_finite(result: StepResult, step: int) -> None:
    bad = sorted(name for name, value in result.losses.items() if not math.isfinite(value))
    if not bad:
        return
    raise TrainingDivergedError(
        f"step {step}: {', '.join(f'{name} is {result.losses[name]}' for name in bad)}; every loss has to be finite. "
        f"Lower trainer.learning_rate, or look at this batch's files: {', '.join(result.source_ids)}"
    )


def _log_scalars(writer: tf.summary.SummaryWriter, scalars: dict[str, float], step: int) -> None:
    import tensorflow as tf

    with writer.as_default():
        for name, value in scalars.items():
            tf.summary.scalar(name, value, step=step)
    writer.flush()


def _log_pictures(writer: tf.summary.SummaryWriter, outcome: EvaluationOutcome, step: int) -> None:
    import tensorflow as tf

    with writer.as_default():
        for index, picture in enumerate(outcome.pictures):
            tf.summary.image(f"detections_and_ground_truth/{index}", picture[None], step=step)
    writer.flush()
