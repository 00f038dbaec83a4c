"""Rules on settings, data and measurements: one function each, returning problems; none imports TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from reefline.findings import Severity
from reefline.od_api.probe import AnchorFit
from reefline.settings import DistributionStrategy, TrainerSettings
from reefline.verification.records import DataFacts, MemoryUse, Problem

# Below this many images, one image more or less moves mAP by several percentage points.
MIN_EVAL_IMAGES = 10
# With the OD API's anchors, often a third of the boxes narrowly misses the threshold, and is learnt all the same.
MAX_MISSED_FRACTION = 0.34
_GB = 1000**3


def check_settings(settings: TrainerSettings) -> tuple[Problem, ...]:
    """Return a warning for each combination of trainer settings that defeats its purpose."""
    return tuple(_find_doubtful_settings(settings))


def _find_doubtful_settings(settings: TrainerSettings) -> Iterator[Problem]:
    steps = settings.num_steps
    evaluations = math.ceil(steps / settings.steps_per_eval)
    # Of a default that cannot trigger, nobody expects anything.
    is_chosen = "early_stopping_patience" in settings.model_fields_set
    patience = settings.early_stopping_patience if is_chosen else None
    if settings.steps_per_eval > steps:
        yield _warning(
            f"trainer.steps_per_eval: {settings.steps_per_eval} is more than trainer.num_steps ({steps}): the only "
            "evaluation is at the end, and there is no best checkpoint to choose; lower steps_per_eval",
            "trainer.steps_per_eval",
            "trainer.num_steps",
        )
    if settings.warmup_steps >= steps:
        yield _warning(
            f"trainer.warmup_steps: {settings.warmup_steps}, but the run has only {steps} steps, so warm-up is cut to "
            f"{steps // 2}; lower warmup_steps",
            "trainer.warmup_steps",
            "trainer.num_steps",
        )
    if patience is not None and patience >= evaluations:
        yield _warning(
            f"trainer.early_stopping_patience: early stopping cannot trigger: patience {patience}, only {evaluations} "
            f"{'evaluation' if evaluations == 1 else 'evaluations'}; lower it, or lower trainer.steps_per_eval",
            "trainer.early_stopping_patience",
            "trainer.steps_per_eval",
            "trainer.num_steps",
        )
    if settings.strategy is not DistributionStrategy.NONE:
        yield _warning(
            f"trainer.strategy: {settings.strategy.value}, but verify measures a single device; with more devices the "
            "run is faster than estimated",
            "trainer.strategy",
        )


def check_counts(settings: TrainerSettings, data: DataFacts) -> tuple[Problem, ...]:
    """Return what the settings need from the data but the data set does not have."""
    return (*_check_train_images(settings, data), *_check_eval_images(data))


def _check_train_images(settings: TrainerSettings, data: DataFacts) -> Iterator[Problem]:
    if settings.batch_size > data.train_images:
        yield _error(
            f"trainer.batch_size: {settings.batch_size}, but only {_about(data)}{data.train_images} training images, "
            f"so a batch would contain duplicates; lower it to {data.train_images} or less, or add images",
            "trainer.batch_size",
        )


def _check_eval_images(data: DataFacts) -> Iterator[Problem]:
    if data.eval_images == 0:
        yield _error(
            "data: the eval split is empty, so nothing can be measured; raise data.eval_fraction, or add images",
            "data.eval_fraction",
        )
    elif data.eval_images < MIN_EVAL_IMAGES:
        yield _warning(
            f"data: the eval split has {_about(data)}{data.eval_images} images; with fewer than {MIN_EVAL_IMAGES}, "
            "mAP is unreliable; raise data.eval_fraction, or add images",
            "data.eval_fraction",
        )


def _about(data: DataFacts) -> str:
    return "" if data.counts_are_exact else "about "


def check_rejected(rejected: Sequence[str], sampled: int, limit: float, *, is_everything: bool) -> tuple[Problem, ...]:
    """Return a problem if the data rules reject too many of the sampled images; `rejected` holds one line for each."""
    if len(rejected) <= limit * sampled:
        return ()
    images = "images" if is_everything else "sampled images"
    message = (
        f"data: {len(rejected)} of {sampled} {images} are rejected; a run stops above data.max_rejected_fraction "
        f"({limit:g}); fix them, or raise the limit; the first: {rejected[0]}"
    )
    report = _error if is_everything else _warning
    return (report(message, "data.max_rejected_fraction"),)


def check_learning_rates(rates: Mapping[int, float]) -> tuple[Problem, ...]:
    """Return what is wrong with a schedule; `rates` maps steps, in order, to learning rates."""
    bad = [step for step, rate in rates.items() if not math.isfinite(rate) or rate < 0]
    if bad:
        return (
            _error(
                f"pipeline.config: the learning rate is {rates[bad[0]]} at step {bad[0]}; expected a finite number, "
                "0 or higher; check learning_rate in the template"
            ),
        )
    last = max(rates)
    positive = [step for step, rate in rates.items() if rate > 0]
    dead_from = min((step for step in rates if not positive or step > positive[-1]), default=None)
    # The last stretch of a cosine is zero in float32.
    if dead_from is not None and dead_from < 0.95 * last:
        return (
            _error(
                f"pipeline.config: the learning rate is 0 from step {dead_from} of {last + 1} on, so the model stops "
                "learning there; make the schedule as long as trainer.num_steps"
            ),
        )
    if len(rates) > 2 and len(set(rates.values())) == 1:
        return (
            _warning(
                f"pipeline.config: the learning rate is {rates[last]:g} at every step; a falling rate gives better "
                "models; use cosine_decay_learning_rate"
            ),
        )
    return ()


def check_anchors(fit: AnchorFit, remedy: str) -> tuple[Problem, ...]:
    """Return a warning if anchors miss too many boxes; `remedy` is what the template allows to change."""
    if fit.missed_fraction <= MAX_MISSED_FRACTION:
        return ()
    others = fit.missed - fit.smaller - fit.larger
    reasons = [
        f"{count} {what}"
        for count, what in (
            (fit.smaller, "are smaller than every anchor"),
            (fit.larger, "are larger than every anchor"),
            (others, "are of another shape or lie between the anchors"),
        )
        if count
    ]
    return (
        _warning(
            f"anchors: {fit.missed} of {fit.boxes} sampled boxes ({fit.missed_fraction:.0%}) have no anchor with an "
            f"IoU of {fit.threshold:g} or more: {', '.join(reasons)}; each of them trains only its best anchor, which "
            f"is slower and less accurate; {remedy}"
        ),
    )


def check_memory(memory: MemoryUse, bytes_per_image: int, batch_size: int) -> tuple[Problem, ...]:
    """Return an error if a batch does not fit in memory."""
    if memory.available is None or memory.estimated <= memory.available:
        return ()
    fixed = memory.estimated - bytes_per_image * batch_size
    fitting = max(0, memory.available - fixed) // bytes_per_image
    remedy = f"lower it to {fitting} or less" if fitting else "not even one image fits; lower trainer.input_size"
    return (
        _error(
            f"trainer.batch_size: {batch_size} images need about {memory.estimated / _GB:.1f} GB, but only "
            f"{memory.available / _GB:.1f} GB is free; {remedy}",
            "trainer.batch_size",
        ),
    )


def check_losses(step: int, losses: Mapping[str, float], source_ids: Sequence[str]) -> tuple[Problem, ...]:
    """Return an error if a loss of a step, counted from 1, is not finite; `source_ids` are the files of its batch."""
    bad = [f"{name} is {value}" for name, value in sorted(losses.items()) if not math.isfinite(value)]
    if not bad:
        return ()
    return (
        _error(
            f"step {step}: {', '.join(bad)}; expected a finite loss; lower trainer.learning_rate, or check this "
            f"batch's files: {', '.join(source_ids)}",
            "trainer.learning_rate",
        ),
    )


def _error(message: str, *keys: str) -> Problem:
    return Problem(Severity.ERROR, message, keys)


def _warning(message: str, *keys: str) -> Problem:
    return Problem(Severity.WARNING, message, keys)
