"""The training loop: train, save, evaluate, repeat, in one process and with each function traced once.

It resumes where an earlier process stopped. state.json is written after each checkpoint and each evaluation, so that a
killed process loses only what came after.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from reefline.formats.undecodable import undecodable_images_named
from reefline.od_api.devices import create_strategy, explained_out_of_memory
from reefline.od_api.evaluation import Evaluation, EvaluationOutcome
from reefline.od_api.export import read_input_size
from reefline.od_api.isolated_evaluation import evaluate_in_child
from reefline.od_api.model_config import with_synchronized_batch_norm
from reefline.od_api.train_step import TrainStep, check_finite, seed_everything
from reefline.settings import DistributionStrategy, TrainerSettings
from reefline.structures.artifacts import ModelRunFolder
from reefline.system.interruption import Interruption
from reefline.training.checkpoints import CheckpointStore
from reefline.training.history import TrainingHistory, TrainingPoint
from reefline.training.job import TrainingJob
from reefline.training.progress import TrainingProgress
from reefline.training.report import EvaluationPoint, StopReason, TrainingReport, TrainingState
from reefline.training.start_files import StartCache
from reefline.training.start_loading import load_start
from reefline.training.starting_point import StartingPoint, choose_start
from reefline.training.tensorboard import TrainingLog

if TYPE_CHECKING:
    from reefline.od_api.model_config import TrainEvalPipelineConfig

SUMMARY_EVERY_STEPS = 20
CHECKPOINTS_TO_KEEP = 3
_POLL_S = 0.2


def train_detector(od_config: TrainEvalPipelineConfig, job: TrainingJob, run: ModelRunFolder) -> TrainingReport:
    """Train a detector; leave checkpoints/, best/, history.jsonl, TensorBoard's logs/ and training.json in `run`.

    A run of the same config and job that stopped in this folder is resumed. `best/` holds the checkpoint with the
    highest COCO mAP on the eval split. Ctrl-C or SIGTERM saves a checkpoint before it stops. Of several workers only
    the first writes files.

    Raises:
        TrainingDivergedError: a loss that is NaN or infinite; the message names the batch's files.
        CheckpointError: the start is unavailable or does not fit, or the checkpoint to resume from is damaged.
        BundleError: the TFLite file to start from is damaged or not quantized.
        RecordError: state.json or history.jsonl is damaged.
        OutOfMemoryError: a batch does not fit in the device's memory.
        DataError: TensorFlow cannot decode an image.
        ConfigError: the strategy is unavailable.
    """
    settings = job.settings
    strategy = create_strategy(settings.strategy, settings.batch_size)
    state = TrainingState.read(run.state)
    # A download has its own line on the terminal, so it comes before training's.
    start = StartingPoint() if state.step else choose_start(settings, job.start, StartCache(job.cache_dir))
    # A resumed run reads the data in another order than the run that stopped.
    seed_everything(settings.seed + state.step)
    trained_config = with_synchronized_batch_norm(od_config) if strategy.num_replicas_in_sync > 1 else od_config
    step = TrainStep(trained_config, strategy)
    with TrainingProgress(settings.num_steps, quiet=not step.is_chief) as progress:
        store = CheckpointStore(run.checkpoints, step.checkpoint(), is_chief=step.is_chief)
        if state.step:
            store.restore(state.step)
            progress.note(f"Resuming from step {state.step}.")
        started_from = _begin_from(start, step, od_config, progress)
        if not state.step:
            state = replace(state, started_from=started_from)
        loop = _Loop(settings, run, step, store, _choose_evaluation(od_config, settings, step), progress)
        readers = (od_config.train_input_reader, *od_config.eval_input_reader)
        records = [str(path) for reader in readers for path in reader.tf_record_input_reader.input_path]
        with (
            explained_out_of_memory(settings.batch_size, read_input_size(od_config).width_px),
            undecodable_images_named(records),
        ):
            stop_reason = loop.run(state)
        progress.note(_describe_stop(stop_reason, loop.state))
        progress.tell_overfitting()
    report = _report(loop.state, stop_reason)
    if step.is_chief:
        store.copy_to(run.best, report.best_step)
        # Last: where this file exists, the training is finished.
        report.write(run.report)
    return report


def _report(state: TrainingState, stop_reason: StopReason) -> TrainingReport:
    if state.best is None:
        raise RuntimeError("a training run ended without an evaluation")
    return TrainingReport(
        steps=state.step,
        best_step=state.best.step,
        stop_reason=stop_reason,
        seconds=round(state.seconds, 3),
        evaluations=state.evaluations,
        started_from=state.started_from,
    )


def _begin_from(
    start: StartingPoint, step: TrainStep, od_config: TrainEvalPipelineConfig, progress: TrainingProgress
) -> str:
    """Set the weights to start from; print and return what was loaded, "" for new weights."""
    if start.note:
        progress.note(start.note)
    report = load_start(start, step, od_config)
    if report is not None:
        progress.note(report.describe())
    return " ".join(filter(None, (start.note, report.describe() if report else "")))


def _choose_evaluation(
    od_config: TrainEvalPipelineConfig, settings: TrainerSettings, step: TrainStep
) -> Callable[[str], EvaluationOutcome]:
    """Return what evaluates the model in memory or, in a child process, the checkpoint with the given prefix.

    One of several workers cannot evaluate the model in memory: the other workers hold parts of it.
    """
    if settings.isolate_evaluation or settings.strategy is DistributionStrategy.MULTI_WORKER:
        return lambda prefix: evaluate_in_child(od_config, prefix)
    evaluation = Evaluation(od_config, step.model)
    return lambda _: evaluation.run()


def _describe_stop(reason: StopReason, state: TrainingState) -> str:
    if reason is StopReason.EARLY_STOPPING:
        ended = f"Stopped early at step {state.step}: no improvement in {state.evaluations_since_best} evaluations."
    else:
        ended = f"All {state.step} steps done."
    best = state.best
    if best is None or best.map is None:
        return f"{ended} No mAP: the eval split has no ground truth."
    return f"{ended} Best mAP {best.map:.3f} at step {best.step}."


class _Loop:
    """One process's part of a run; `state` is what is safe on disk."""

    def __init__(
        self,
        settings: TrainerSettings,
        run: ModelRunFolder,
        step: TrainStep,
        store: CheckpointStore,
        evaluate: Callable[[str], EvaluationOutcome],
        progress: TrainingProgress,
    ) -> None:
        self._settings = settings
        self._run = run
        self._step = step
        self._store = store
        self._evaluate_checkpoint = evaluate
        self._progress = progress
        self._is_chief = step.is_chief
        self._log = TrainingLog(run.logs, is_chief=step.is_chief)
        self.state = TrainingState()

    def run(self, state: TrainingState) -> StopReason:
        """Train until all steps are done, or `early_stopping_patience` evaluations in a row were no better."""
        self.state = state
        self._started_s = time.monotonic() - state.seconds
        self._history = TrainingHistory(self._run.history, resumed_step=state.step, is_chief=self._is_chief)
        self._store.keep([step for step in self._store.steps() if step <= state.step])
        while True:
            if self._is_evaluation_due():
                self._evaluate()
            patience = self._settings.early_stopping_patience
            if patience is not None and self.state.evaluations_since_best >= patience:
                return StopReason.EARLY_STOPPING
            if self.state.step >= self._settings.num_steps:
                return StopReason.ALL_STEPS_DONE
            self._train_and_save()

    def _is_evaluation_due(self) -> bool:
        step = self.state.step
        is_place = step == self._settings.num_steps or (step > 0 and step % self._settings.steps_per_eval == 0)
        return is_place and all(point.step != step for point in self.state.evaluations)

    def _train_and_save(self) -> None:
        """Train up to the next evaluation, or until a stop is requested, and save."""
        every = self._settings.steps_per_eval
        last = min((self.state.step // every + 1) * every, self._settings.num_steps)
        done = self.state.step
        # Workers save together: one that stopped on its own would block the others.
        is_alone = self._settings.strategy is not DistributionStrategy.MULTI_WORKER
        with Interruption() if is_alone else contextlib.nullcontext() as interruption:
            while done < last and not (interruption and interruption.requested):
                done += 1
                self._train_one_step(done)
            self._store.save(done)
            self._remember(replace(self.state, step=done, seconds=time.monotonic() - self._started_s))
            if interruption and interruption.requested:
                self._progress.note(f"Stopped at step {done} (checkpoint saved). Run the same command to resume.")

    def _train_one_step(self, number: int) -> None:
        learning_rate = self._step.learning_rate
        result = self._step.run()
        check_finite(result, number)
        self._progress.step(number, result.total_loss)
        if number % SUMMARY_EVERY_STEPS == 0 or number == 1:
            self._log.step(result.losses, learning_rate, number)
            self._history.append(TrainingPoint(number, result.total_loss, learning_rate))

    def _evaluate(self) -> None:
        if not self._is_chief:
            self.state = self._await_evaluation()
            return
        started_s = time.monotonic()
        step = self.state.step
        outcome = self._evaluate_checkpoint(self._store.prefix(step))
        loss = outcome.loss if math.isfinite(outcome.loss) else None
        point = EvaluationPoint(step=step, map=outcome.map, map_50=outcome.map_50, loss=loss)
        self._log.evaluation(outcome, step)
        seconds = time.monotonic() - self._started_s
        self._remember(replace(self.state.with_evaluation(point), seconds=seconds))
        self._progress.evaluation(point, self.state.best, time.monotonic() - started_s)
        self._store.keep({*self._store.steps()[-CHECKPOINTS_TO_KEEP:], *self._best_step()})

    def _await_evaluation(self) -> TrainingState:
        """Return what the first worker found; only that one evaluates."""
        while True:
            state = TrainingState.read(self._run.state)
            if any(point.step == self.state.step for point in state.evaluations):
                return state
            time.sleep(_POLL_S)

    def _best_step(self) -> tuple[int, ...]:
        return (self.state.best.step,) if self.state.best else ()

    def _remember(self, state: TrainingState) -> None:
        """Set the state, which a later process resumes from."""
        if self._is_chief:
            state.write(self._run.state)
        self.state = state
