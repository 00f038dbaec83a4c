"""Rules on settings, data and measurements: one function each, returning problems; none of them imports TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from reefline.findings import Severity
from reefline.od_api.probe import AnchorFit
from reefline.settings import DistributionStrategy, TrainerSettings
from reefline.verification.records import DataFacts, MemoryUse, Problem

# Below this many images one image more or less moves mAP by percents.
MIN_EVAL_IMAGES = 10
# With the OD API's anchors a third of the boxes is often missed narrowly, and learnt all the same.
MAX_MISSED_FRACTION = 0.34
_GB = 1000**3


def check_settings(settings: TrainerSettings) -> tuple[Problem, ...]:
    """Return what the trainer's settings say that does not go together."""
    return tuple(map(_doubt, _find_doubtful_settings(settings)))


def _find_doubtful_settings(settings: TrainerSettings) -> Iterator[str]:
    steps = settings.num_steps
    if settings.steps_per_eval > steps:
        yield (
            f"trainer.steps_per_eval: {settings.steps_per_eval} is more than trainer.num_steps ({steps}), so there is "
            "one evaluation, at the end, and no best checkpoint to choose; lower steps_per_eval"
        )
    if settings.warmup_steps >= steps:
        yield (
            f"trainer.warmup_steps: {settings.warmup_steps} is as long as the run ({steps} steps); expected less, and "
            f"{steps // 2} (half) are taken; lower warmup_steps"
        )
    patience = settings.early_stopping_patience
    if patience is not None and patience >= math.ceil(steps / settings.steps_per_eval):
        yield (
            f"trainer.early_stopping_patience: {patience} evaluations without a better one never come in "
            f"{math.ceil(steps / settings.steps_per_eval)} evaluations; lower it, or steps_per_eval"
        )
    if settings.strategy is not DistributionStrategy.NONE:
        yield (
            f"trainer.strategy: {settings.strategy.value}, but verify measures one device: with more of them the run "
            "is faster than estimated"
        )


def check_counts(settings: TrainerSettings, data: DataFacts) -> tuple[Problem, ...]:
    """Return what the settings ask of the data that it has not got."""
    problems = []
    about = "" if data.counts_are_exact else "about "
    if settings.batch_size > data.train_images:
        problems.append(
            _error(
                f"trainer.batch_size: {settings.batch_size}, and there are {about}{data.train_images} training "
                f"images; expected at most {data.train_images}, as a larger batch holds images twice; lower it, or "
                "add images"
            )
        )
    if data.eval_images == 0:
        problems.append(
            _error("data: the eval split is empty, so nothing can be measured; raise data.eval_fraction, or add images")
        )
    elif data.eval_images < MIN_EVAL_IMAGES:
        problems.append(
            _doubt(
                f"data: the eval split has {about}{data.eval_images} images; with fewer than {MIN_EVAL_IMAGES} "
                "mAP says little; raise data.eval_fraction, or add images"
            )
        )
    return tuple(problems)


def check_rejected(rejected: Sequence[str], sampled: int, limit: float, *, is_everything: bool) -> tuple[Problem, ...]:
    """Return whether too many of the sampled images are left out by the data rules; `rejected` says which and why."""
    if len(rejected) <= limit * sampled:
        return ()
    whole = "images" if is_everything else "sampled images"
    message = (
        f"data: {len(rejected)} of {sampled} {whole} are rejected, and a run stops above "
        f"data.max_rejected_fraction ({limit:g}); mend them, or raise the limit; the first: {rejected[0]}"
    )
    return (_error(message) if is_everything else _doubt(message),)


def check_learning_rates(rates: Mapping[int, float]) -> tuple[Problem, ...]:
    """Return what is wrong with a schedule; `rates` maps steps, in their order, to learning rates."""
    bad = [step for step, rate in rates.items() if not math.isfinite(rate) or rate < 0]
    if bad:
        return (
            _error(
                f"pipeline.config: the learning rate is {rates[bad[0]]} at step {bad[0]}; expected a finite rate above "
                "0; look at learning_rate in the template"
            ),
        )
    last = max(rates)
    positive = [step for step, rate in rates.items() if rate > 0]
    dead_from = min((step for step in rates if not positive or step > positive[-1]), default=None)
    # The last stretch of a cosine is zero in float32.
    if dead_from is not None and dead_from < 0.95 * last:
        return (
            _error(
                f"pipeline.config: the learning rate is 0 from step {dead_from} of {last + 1} on, where nothing is "
                "learnt any more; make the schedule as long as trainer.num_steps"
            ),
        )
    if len(rates) > 2 and len(set(rates.values())) == 1:
        return (
            _doubt(
                f"pipeline.config: the learning rate is {rates[last]:g} in every step; a rate that falls towards the "
                "end gives better models; use cosine_decay_learning_rate"
            ),
        )
    return ()


def check_anchors(fit: AnchorFit, remedy: str) -> tuple[Problem, ...]:
    """Return whether the anchors are too large or too small for the boxes; `remedy` is what the template allows."""
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
        _doubt(
            f"anchors: {fit.missed} of {fit.boxes} sampled boxes ({fit.missed_fraction:.0%}) have no anchor with an "
            f"IoU of {fit.threshold:g} or more: {', '.join(reasons)}; each of them has its one best anchor to learn "
            f"from, which is slow and less exact; {remedy}"
        ),
    )


def check_memory(memory: MemoryUse, bytes_per_image: int, batch_size: int) -> tuple[Problem, ...]:
    """Return whether a batch does not fit in memory."""
    if memory.available is None or memory.estimated <= memory.available:
        return ()
    fixed = memory.estimated - bytes_per_image * batch_size
    fitting = max(0, memory.available - fixed) // bytes_per_image
    remedy = f"lower it to {fitting} or less" if fitting else "no batch fits; lower trainer.input_size"
    return (
        _error(
            f"trainer.batch_size: {batch_size} images need about {memory.estimated / _GB:.1f} GB, and "
            f"{memory.available / _GB:.1f} GB are free; {remedy}"
        ),
    )


def check_losses(step: int, losses: Mapping[str, float], source_ids: Sequence[str]) -> tuple[Problem, ...]:
    """Return whether the losses of a step, counted from 1, are numbers; `source_ids` are the files of its batch."""
    bad = [f"{name} is {value}" for name, value in sorted(losses.items()) if not math.isfinite(value)]
    if not bad:
        return ()
    return (
        _error(
            f"step {step}: {', '.join(bad)}; every loss has to be finite; lower trainer.learning_rate, or look at the "
            f"batch's files: {', '.join(source_ids)}"
        ),
    )


def _error(message: str) -> Problem:
    return Problem(Severity.ERROR, message)


def _doubt(message: str) -> Problem:
    return Problem(Severity.WARNING, message)
