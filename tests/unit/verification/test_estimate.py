"""The estimate of a run, checked by hand."""

from __future__ import annotations

import pytest

from reefline.verification.estimate import estimate_run
from tests.factories_verification import make_data_facts, make_settings, make_timings


def test_steps_evaluations_and_start_add_up() -> None:
    estimate = estimate_run(make_settings(num_steps=101, steps_per_eval=50), make_data_facts(), make_timings())
    assert estimate.start_s == 30.0
    assert estimate.training_s == 50.0
    # After steps 50, 100 and 101: 20 images of 0.1 s each, and the trace once.
    assert estimate.evaluations == 3
    assert estimate.evaluation_s == pytest.approx(3 * 2.0 + 5.0)
    assert estimate.total_s == pytest.approx(91.0)
    assert estimate.epochs == pytest.approx(101 * 8 / 80)


def test_an_evaluation_apart_starts_anew_each_time() -> None:
    settings = make_settings(isolate_evaluation=True)
    estimate = estimate_run(settings, make_data_facts(), make_timings())
    assert estimate.evaluation_s == pytest.approx(2 * (10.0 + 5.0 + 2.0))


def test_fewer_steps_than_an_evaluation_takes_are_evaluated_once() -> None:
    estimate = estimate_run(make_settings(num_steps=10, steps_per_eval=50), make_data_facts(), make_timings())
    assert estimate.evaluations == 1
