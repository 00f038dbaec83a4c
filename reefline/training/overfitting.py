"""Whether a training went on to learn its training images by heart: eval loss rises while training loss falls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Smaller rises are noise: an eval split has tens of images.
_MIN_RISE = 1.05
_MIN_LATER_EVALUATIONS = 2


@dataclass(frozen=True)
class LossPair:
    """The losses at one evaluation: the mean over the training steps before it, and that of the eval split."""

    step: int
    training: float
    evaluation: float


def describe_overfitting(losses: Sequence[LossPair]) -> str:
    """Return a sentence with the step from which on the model overfits; "" if it does not.

    That is the step of the lowest eval loss, if the last one is more than 5 % higher, at least two evaluations later,
    and the training loss is lower.
    """
    if not losses:
        return ""
    lowest = min(range(len(losses)), key=lambda index: losses[index].evaluation)
    turn, last = losses[lowest], losses[-1]
    is_rising = last.evaluation > _MIN_RISE * turn.evaluation and last.training < turn.training
    if not is_rising or len(losses) - 1 - lowest < _MIN_LATER_EVALUATIONS:
        return ""
    return (
        f"Overfitting from step {turn.step} on: eval loss rose from {turn.evaluation:.3f} to {last.evaluation:.3f} "
        f"while training loss fell from {turn.training:.3f} to {last.training:.3f}; more images or augmentations help."
    )
