"""The training loop: train, save, evaluate, repeat, in one process and with each function traced once.

It goes on where an earlier process stopped. After each checkpoint, and after each evaluation, state.json says what is
whole; a process that is killed at any moment loses what came after, and nothing else.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from reefline.od_api.devices import create_strategy, explained_out_of_memory
from reefline.od_api.evaluation import Evaluation, EvaluationOutcome
from reefline.od_api.export import read_input_size
from reefline.od_api.isolated_evaluation import evaluate_in_child
from reefline.od_api.model_config import with_synchronized_batch_norm
from reefline.od_api.train_step import TrainStep, check_finite, seed_everything
from reefline.settings import DistributionStrategy, TrainerSettings
from reefline.system.interruption import Interruption
from reefline.training.checkpoints import CheckpointStore
from reefline.training.progress import TrainingProgress
from reefline.training.report import REPORT_FILE, EvaluationPoint, StopReason, TrainingReport, TrainingState
from reefline.training.starting_point import StartingPoint, choose_start
from reefline.training.tensorboard import TrainingLog

if TYPE_CHECKING:
    from reefline.od_api.model_config import TrainEvalPipelineConfig

STATE_FILE = "state.json"
SUMMARY_EVERY_STEPS = 20
CHECKPOINTS_TO_KEEP = 3
_POLL_S = 0.2


def train_detector(
    config: TrainEvalPipelineConfig,
    settings: TrainerSettings,
    directory: Path,
    cache_dir: Path,
    warm_start_checkpoint: str = "",
) -> TrainingReport:
    """Train a detector; leave checkpoints/, best/, TensorBoard's logs/ and training.json in `directory`.

    A run of the same config and settings that stopped in `directory` is gone on with. `best/` holds the checkpoint with
    the highest COCO mAP on the eval split. `cache_dir` keeps downloaded fine-tune checkpoints,
    `warm_start_checkpoint` is the prefix of the one behind the model that serves, "" where there is none. Ctrl-C or
    SIGTERM saves what there is before it stops. Of several workers the first one writes files.

    Raises:
        TrainingDivergedError: a loss that is NaN or infinite; the message names the batch's files.
        CheckpointError: the fine-tune checkpoint cannot be had or does not fit, or the one to go on from is damaged.
        OutOfMemoryError: the device has no room for such a batch.
        ConfigError: the strategy cannot be had.
    """
    strategy = create_strategy(settings.strategy, settings.batch_size)
    state = TrainingState.read(directory / STATE_FILE)
    # A download has its own line on the terminal, so it comes before training's.
    start = StartingPoint(None) if state.step else choose_start(settings, warm_start_checkpoint, cache_dir)
    # Another order of the data than the one that was begun with.
    seed_everything(settings.seed + state.step)
    trained = with_synchronized_batch_norm(config) if strategy.num_replicas_in_sync > 1 else config
    step = TrainStep(trained, strategy)
    with TrainingProgress(settings.num_steps, quiet=not step.is_chief) as progress:
        store = CheckpointStore(directory / "checkpoints", step.checkpoint(), is_chief=step.is_chief)
        if state.step:
            store.restore(state.step)
            progress.note(f"going on from step {state.step} of a run that stopped")
        _begin_from(start, step, progress)
        log = TrainingLog(directory / "logs", is_chief=step.is_chief)
        loop = _Loop(settings, directory, step, store, _choose_evaluation(config, settings, step), log, progress)
        with explained_out_of_memory(settings.batch_size, read_input_size(config).width_px):
            stop_reason = loop.run(state)
        progress.note(_describe_stop(stop_reason, loop.state))
    if state.step == loop.state.step:
        # All was done before: nothing has built the model yet, whose parameters are counted below.
        step.build()
    report = _report(loop.state, stop_reason, step.parameters)
    if step.is_chief:
        store.copy_to(directory / "best", report.best_step)
        # Last: where it is, the training is finished.
        report.write(directory / REPORT_FILE)
    return report


def _report(state: TrainingState, stop_reason: StopReason, parameters: int) -> TrainingReport:
    if state.best is None:
        raise RuntimeError("a training run ended without an evaluation")
    return TrainingReport(
        steps=state.step,
        best_step=state.best.step,
        best_map=state.best.map,
        stop_reason=stop_reason,
        seconds=round(state.seconds, 3),
        parameters=parameters,
        evaluations=state.evaluations,
    )


def _begin_from(start: StartingPoint, step: TrainStep, progress: TrainingProgress) -> None:
    if start.note:
        progress.note(start.note)
    if start.prefix is not None:
        progress.note(step.load_fine_tune_checkpoint(start.prefix, start.type).describe())


def _choose_evaluation(
    config: TrainEvalPipelineConfig, settings: TrainerSettings, step: TrainStep
) -> Callable[[str], EvaluationOutcome]:
    """Return what evaluates: the model in memory, or in a child process the checkpoint whose prefix it is given.

    One of several workers cannot evaluate the model in memory, whose parts the others hold.
    """
    if settings.isolate_evaluation or settings.strategy is DistributionStrategy.MULTI_WORKER:
        return lambda prefix: evaluate_in_child(config, prefix)
    evaluation = Evaluation(config, step.model)
    return lambda _: evaluation.run()


def _describe_stop(reason: StopReason, state: TrainingState) -> str:
    best = state.best
    found = "no ground truth to measure" if best is None or best.map is None else f"best mAP {best.map:.3f}"
    where = f" at step {best.step}" if best else ""
    if reason is StopReason.EARLY_STOPPING:
        without_gain = f"{state.evaluations_since_best} evaluations without gain"
        return f"stopped early at step {state.step}: {without_gain}; {found}{where}"
    return f"all {state.step} steps done; {found}{where}"


class _Loop:
    """One process' part of a run; `state` is what is safe."""

    def __init__(
        self,
        settings: TrainerSettings,
        directory: Path,
        step: TrainStep,
        store: CheckpointStore,
        evaluate: Callable[[str], EvaluationOutcome],
        log: TrainingLog,
        progress: TrainingProgress,
    ) -> None:
        self._settings = settings
        self._state_file = directory / STATE_FILE
        self._step = step
        self._store = store
        self._evaluate_checkpoint = evaluate
        self._log = log
        self._progress = progress
        self._is_chief = step.is_chief
        self.state = TrainingState()

    def run(self, state: TrainingState) -> StopReason:
        """Train until all steps are done or no evaluation was better for `early_stopping_patience` evaluations."""
        self.state = state
        self._started_s = time.monotonic() - state.seconds
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
        """Train up to the next evaluation, or until somebody asks to stop, and save."""
        every = self._settings.steps_per_eval
        last = min((self.state.step // every + 1) * every, self._settings.num_steps)
        done = self.state.step
        # Workers save together, which one that stops by itself would keep all from.
        is_alone = self._settings.strategy is not DistributionStrategy.MULTI_WORKER
        with Interruption() if is_alone else contextlib.nullcontext() as interruption:
            while done < last and not (interruption and interruption.requested):
                done += 1
                self._train_one_step(done)
            self._store.save(done)
            self._remember(replace(self.state, step=done, seconds=time.monotonic() - self._started_s))
            if interruption and interruption.requested:
                self._progress.note(f"stopped at step {done}, which is saved: the same command goes on from there")

    def _train_one_step(self, number: int) -> None:
        learning_rate = self._step.learning_rate
        result = self._step.run()
        check_finite(result, number)
        self._progress.step(number, result.total_loss)
        if number % SUMMARY_EVERY_STEPS == 0 or number == 1:
            self._log.step(result.losses, learning_rate, number)

    def _evaluate(self) -> None:
        if not self._is_chief:
            self.state = self._await_evaluation()
            return
        started_s = time.monotonic()
        step = self.state.step
        outcome = self._evaluate_checkpoint(self._store.prefix(step))
        point = EvaluationPoint(step=step, map=outcome.map, map_50=outcome.map_50, loss=outcome.loss)
        self._log.evaluation(outcome, step)
        seconds = time.monotonic() - self._started_s
        self._remember(replace(self.state.with_evaluation(point), seconds=seconds))
        self._progress.evaluation(point, self.state.best, time.monotonic() - started_s)
        self._store.keep({*self._store.steps()[-CHECKPOINTS_TO_KEEP:], *self._best_step()})

    def _await_evaluation(self) -> TrainingState:
        """Return what the first worker found: it alone evaluates."""
        while True:
            state = TrainingState.read(self._state_file)
            if any(point.step == self.state.step for point in state.evaluations):
                return state
            time.sleep(_POLL_S)

    def _best_step(self) -> tuple[int, ...]:
        return (self.state.best.step,) if self.state.best else ()

    def _remember(self, state: TrainingState) -> None:
        """From here on this is what a later process finds."""
        if self._is_chief:
            state.write(self._state_file)
        self.state = state
