"""How many steps fit in a budget, and how other templates compare with the measured one."""

from __future__ import annotations

import pytest

from reefline.recommendation.recipes import OTHER_WORK_S
from reefline.recommendation.schedule import guess_steps, plan_schedule, scale_timings
from tests.factories_recommendation import make_candidate, make_machine
from tests.factories_verification import make_data_facts, make_timings

FACTS = make_data_facts(train_images=800, eval_images=20)
# 10 s start, 20 s first step, 5 s first evaluation and ten evaluations of 2 s.
TIMINGS = make_timings()
OVERHEAD_S = 10.0 + 20.0 + 5.0 + 10 * 20 * 0.1 + OTHER_WORK_S


def test_the_schedule_fills_the_budget() -> None:
    schedule = plan_schedule(make_candidate(), FACTS, TIMINGS, OVERHEAD_S + 0.5 * 1234)
    assert (schedule.steps, schedule.steps_per_eval, schedule.affordable_steps) == (1230, 123, 1234)
    assert schedule.epochs == pytest.approx(1230 * 8 / 800)
    assert schedule.seconds == pytest.approx(OVERHEAD_S + 0.5 * 1229)


def test_a_budget_that_is_too_small_gives_the_fewest_steps() -> None:
    schedule = plan_schedule(make_candidate(), FACTS, TIMINGS, 60.0)
    assert (schedule.steps, schedule.affordable_steps) == (100, 0)
    assert schedule.seconds > 60.0


def test_given_steps_are_kept() -> None:
    schedule = plan_schedule(make_candidate(), FACTS, TIMINGS, 600.0, given_steps=77, given_steps_per_eval=20)
    assert (schedule.steps, schedule.steps_per_eval) == (77, 20)


def test_another_template_takes_its_share_of_the_time() -> None:
    measured, other = make_candidate(), make_candidate("ssd_mobilenet_v2_tiny", batch_size=16)
    scaled = scale_timings(TIMINGS, measured, other)
    ratio = other.image_cost / measured.image_cost
    assert 0.1 < ratio < 1.0
    assert scaled.step_s == pytest.approx(0.5 * ratio * 2)
    assert scaled.evaluation_image_s == pytest.approx(0.1 * ratio)
    assert scaled.first_step_s == TIMINGS.first_step_s


def test_an_unknown_cost_stays_unknown() -> None:
    unknown = make_candidate(cost=None)
    assert scale_timings(TIMINGS, make_candidate(), unknown) is None
    assert (unknown.memory_bytes, unknown.image_cost) == (None, None)
    assert guess_steps(unknown, make_machine(), 600.0) == 0


@pytest.mark.parametrize(
    ("machine", "steps"),
    [
        pytest.param(make_machine(), 2000, id="reference"),
        pytest.param(make_machine(cores=4), 4000, id="cores"),
        pytest.param(make_machine(gpus=1), 20_000, id="gpu"),
    ],
)
def test_a_guess_before_anything_is_measured(machine, steps: int) -> None:
    guessed = guess_steps(make_candidate(), machine, OTHER_WORK_S + 2000 * 0.29)
    assert guessed == pytest.approx(steps, abs=1)


def test_a_larger_input_costs_in_proportion_to_its_area() -> None:
    assert make_candidate(area_scale=4.0).image_cost == pytest.approx(4 * make_candidate().image_cost)
    assert make_candidate(area_scale=4.0).memory_bytes > 2 * make_candidate().memory_bytes
