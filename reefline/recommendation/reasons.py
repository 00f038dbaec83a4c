"""Why a template was recommended, and what the user should know about the data or the budget."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reefline.recommendation import recipes
from reefline.recommendation.setting import Measured, Setting
from reefline.verification.rules import check_counts

if TYPE_CHECKING:
    from reefline.settings import TrainerSettings

# From here, the rarest class sees too few boxes for the share it has in the loss (validation.max_class_imbalance warns
# at 50, about mistakes).
_MAX_IMBALANCE = 10.0


def explain(setting: Setting, measured: Measured) -> str:
    """Return the reason for the recommendation, as one sentence."""
    candidate, schedule = measured.candidate, measured.schedule
    if setting.wishes.sets("trainer.model"):
        why = "it is the template you chose"
    elif candidate.knows:
        why = f"its published weights already know {candidate.knows}, so a few epochs are enough"
    elif candidate.is_fine_tuning:
        why = f"it can start from {candidate.start}"
    else:
        why = "it learns most from random weights in this time"
    fit = "" if schedule.affordable_steps < recipes.MIN_STEPS else f" fit in {setting.time}"
    return f"{why}; {schedule.steps:,} steps ({schedule.epochs:.0f} epochs){fit}"


def find_notes(
    setting: Setting, measured: Measured, settings: TrainerSettings, max_dimension: int | None
) -> Iterator[str]:
    """Yield what the user should know about the data or the budget."""
    traits, schedule = setting.traits, measured.schedule
    if schedule.affordable_steps < recipes.MIN_STEPS:
        yield (
            f"only {schedule.affordable_steps} steps fit in {setting.time}, and fewer than {recipes.MIN_STEPS} are not "
            "worth training; raise --minutes for a better model"
        )
    small = traits.small_fraction(measured.candidate.input_px)
    if small > recipes.MAX_SMALL_FRACTION:
        yield (
            f"{small:.0%} of the boxes are smaller than 10 px in the model's input, and will hardly be found; crop the "
            f"images, or train ssd_mobilenet_v2_fpnlite_640 on a GPU"
        )
    if traits.imbalance > _MAX_IMBALANCE:
        yield (
            f"class {traits.rarest_class} has {traits.rarest_boxes:,} boxes, the most frequent one "
            f"{traits.most_boxes:,}; add images of it"
        )
    if max_dimension is not None:
        yield (
            f"images are {traits.median_long_side_px} px long, the input is {measured.candidate.input_px} px: "
            f"data.max_dimension {max_dimension} shrinks them once instead of in every step"
        )
    yield from (problem.message for problem in check_counts(settings, traits.facts))
    yield from (problem.message for problem in setting.sample.problems)
