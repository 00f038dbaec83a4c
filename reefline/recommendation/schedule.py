"""How many steps fit in a budget, and how long the run then takes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from reefline.recommendation.candidates import Candidate
from reefline.recommendation.machine import Machine
from reefline.recommendation.recipes import (
    OTHER_WORK_S,
    choose_evaluations,
    choose_steps,
    choose_steps_per_eval,
)
from reefline.recommendation.template_costs import REFERENCE_CORES
from reefline.settings import TrainerSettings
from reefline.verification.estimate import estimate_run
from reefline.verification.records import DataFacts, Timings


@dataclass(frozen=True)
class Schedule:
    """The steps of a training, and the estimated seconds of the run with everything around it.

    `affordable_steps` is how many steps the budget has room for, without the recipe's limits.
    """

    steps: int
    steps_per_eval: int
    epochs: float
    seconds: float
    affordable_steps: int


def plan_schedule(
    candidate: Candidate,
    facts: DataFacts,
    timings: Timings,
    budget_s: float,
    *,
    given_steps: int | None = None,
    given_steps_per_eval: int | None = None,
) -> Schedule:
    """Return the schedule of a template whose seconds are `timings`; given steps are kept."""
    evaluation_s = facts.eval_images * timings.evaluation_image_s
    evaluations = choose_evaluations(evaluation_s, budget_s)
    overhead_s = (
        timings.start_s + timings.first_step_s + timings.first_evaluation_s + evaluations * evaluation_s + OTHER_WORK_S
    )
    steps = given_steps or choose_steps(
        budget_s - overhead_s,
        timings.step_s,
        epoch_steps=facts.train_images / candidate.batch_size,
        is_fine_tuning=candidate.is_fine_tuning,
    )
    steps_per_eval = given_steps_per_eval or choose_steps_per_eval(steps, evaluations)
    settings = TrainerSettings(
        model=candidate.template.name,
        batch_size=candidate.batch_size,
        num_steps=steps,
        steps_per_eval=steps_per_eval,
    )
    estimate = estimate_run(settings, facts, timings)
    return Schedule(
        steps=steps,
        steps_per_eval=steps_per_eval,
        epochs=estimate.epochs,
        seconds=estimate.total_s + OTHER_WORK_S,
        affordable_steps=int(max(0.0, budget_s - overhead_s) / timings.step_s),
    )


def scale_timings(timings: Timings, measured: Candidate, other: Candidate) -> Timings | None:
    """Return the timings of another template from those of the measured one; None if a cost is unknown.

    The first step and the first evaluation are mostly tracing, which depends little on the input.
    """
    if measured.image_cost is None or other.image_cost is None:
        return None
    ratio = other.image_cost / measured.image_cost
    return replace(
        timings,
        step_s=timings.step_s * ratio * other.batch_size / measured.batch_size,
        evaluation_image_s=timings.evaluation_image_s * ratio,
    )


def guess_steps(candidate: Candidate, machine: Machine, budget_s: float) -> int:
    """Return about how many steps of a template a budget has room for, before anything is measured.

    Cores count in proportion. A GPU counts as 20 of them: a guess, which only decides which template is measured.
    """
    if candidate.image_cost is None:
        return 0
    cores = 20 * machine.gpus if machine.has_gpu else machine.cores
    step_s = candidate.image_cost * candidate.batch_size * REFERENCE_CORES / cores
    return int(max(0.0, budget_s - OTHER_WORK_S) / step_s)
