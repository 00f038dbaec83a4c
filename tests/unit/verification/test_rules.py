"""Rules on settings, data and measurements: what is wrong, and what is well."""

from __future__ import annotations

import pytest

from reefline.findings import Severity
from reefline.settings import DistributionStrategy
from reefline.verification import rules
from tests.factories_verification import MB, make_data_facts, make_fit, make_memory, make_settings


def test_settings_that_go_together_are_well() -> None:
    assert rules.check_settings(make_settings(early_stopping_patience=1)) == ()


def test_a_default_patience_that_cannot_trigger_is_no_problem() -> None:
    settings = make_settings()
    assert settings.early_stopping_patience == 8 and settings.num_steps == 2 * settings.steps_per_eval
    assert rules.check_settings(settings) == ()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"steps_per_eval": 200}, "trainer.steps_per_eval: 200 is more than", id="never-evaluated"),
        pytest.param(
            {"warmup_steps": 100},
            "trainer.warmup_steps: 100, but the run has only 100 steps, so warm-up is cut to 50",
            id="all-warmup",
        ),
        pytest.param(
            {"early_stopping_patience": 2},
            "early stopping cannot trigger: patience 2, only 2 evaluations; lower it",
            id="no-early-stop",
        ),
        pytest.param({"strategy": DistributionStrategy.MIRRORED}, "verify measures a single device", id="more-devices"),
    ],
)
def test_doubtful_settings(values: dict, message: str) -> None:
    (problem,) = rules.check_settings(make_settings(**values))
    assert problem.severity is Severity.WARNING
    assert message in problem.message
    assert {f"trainer.{name}" for name in values} <= set(problem.keys)


def test_several_doubts_are_all_told() -> None:
    assert len(rules.check_settings(make_settings(steps_per_eval=200, warmup_steps=500))) == 2


@pytest.mark.parametrize(
    ("settings", "facts", "severity", "message"),
    [
        pytest.param({"batch_size": 81}, {}, Severity.ERROR, "81, but only 80 training images", id="batch"),
        pytest.param(
            {"batch_size": 81}, {"counts_are_exact": False}, Severity.ERROR, "only about 80 training images", id="about"
        ),
        pytest.param({}, {"eval_images": 0}, Severity.ERROR, "the eval split is empty", id="no-eval-images"),
        pytest.param({}, {"eval_images": 9}, Severity.WARNING, "the eval split has 9 images", id="few-eval-images"),
    ],
)
def test_more_is_asked_than_the_data_has(settings: dict, facts: dict, severity: Severity, message: str) -> None:
    (problem,) = rules.check_counts(make_settings(**settings), make_data_facts(**facts))
    assert problem.severity is severity
    assert message in problem.message


def test_enough_data() -> None:
    assert rules.check_counts(make_settings(batch_size=80), make_data_facts(eval_images=10)) == ()


@pytest.mark.parametrize(
    ("is_everything", "severity"),
    [pytest.param(True, Severity.ERROR, id="everything"), pytest.param(False, Severity.WARNING, id="a-sample")],
)
def test_rejected_images(is_everything: bool, severity: Severity) -> None:
    (problem,) = rules.check_rejected(["a.jpg: broken", "b.jpg: gone"], 20, 0.05, is_everything=is_everything)
    assert problem.severity is severity
    assert "2 of 20" in problem.message
    assert problem.message.endswith("the first: a.jpg: broken")
    assert problem.keys == ("data.max_rejected_fraction",)
    assert rules.check_rejected(["a.jpg: broken"], 20, 0.05, is_everything=is_everything) == ()


@pytest.mark.parametrize(
    ("rates", "severity", "message"),
    [
        pytest.param({0: 0.1, 50: 0.0, 99: 0.0}, Severity.ERROR, "is 0 from step 50 of 100 on", id="dead"),
        pytest.param({0: 0.0, 50: 0.0, 99: 0.0}, Severity.ERROR, "is 0 from step 0 of 100 on", id="zero"),
        pytest.param({0: 0.1, 50: float("nan"), 99: 0.1}, Severity.ERROR, "is nan at step 50", id="nan"),
        pytest.param({0: 0.1, 50: -0.1, 99: 0.1}, Severity.ERROR, "is -0.1 at step 50", id="negative"),
        pytest.param({0: 0.1, 50: 0.1, 99: 0.1}, Severity.WARNING, "is 0.1 at every step", id="constant"),
    ],
)
def test_schedules_that_teach_nothing(rates: dict[int, float], severity: Severity, message: str) -> None:
    (problem,) = rules.check_learning_rates(rates)
    assert problem.severity is severity
    assert message in problem.message


@pytest.mark.parametrize(
    "rates",
    [
        pytest.param({0: 0.01, 50: 0.1, 99: 0.001}, id="warmup-and-decay"),
        pytest.param({0: 0.01, 50: 0.1, 96: 0.0, 99: 0.0}, id="zero-at-the-very-end"),
        pytest.param({0: 0.1}, id="one-step"),
    ],
)
def test_schedules_that_are_well(rates: dict[int, float]) -> None:
    assert rules.check_learning_rates(rates) == ()


def test_anchors_that_miss_many_boxes_are_told_with_numbers() -> None:
    (problem,) = rules.check_anchors(make_fit(missed=60, smaller=50, larger=1), "do this")
    assert problem.severity is Severity.WARNING
    assert "60 of 100 sampled boxes (60%)" in problem.message
    assert "50 are smaller than every anchor, 1 are larger than every anchor, 9 are of another" in problem.message
    assert problem.message.endswith("do this")


@pytest.mark.parametrize(
    "facts", [pytest.param({}, id="few"), pytest.param({"boxes": 0, "missed": 0, "smaller": 0}, id="no-boxes")]
)
def test_anchors_that_fit(facts: dict) -> None:
    assert rules.check_anchors(make_fit(**facts), "do this") == ()


def test_a_batch_that_does_not_fit_is_told_with_one_that_does() -> None:
    # 400 MB beside the batch of 16 with 100 MB each, and 1 GB: 6 images fit.
    memory = make_memory(estimated=2000 * MB, available=1000 * MB)
    (problem,) = rules.check_memory(memory, 100 * MB, 16)
    assert problem.severity is Severity.ERROR
    assert "trainer.batch_size: 16 images need about 2.0 GB, but only 1.0 GB is free; lower it to 6 or less" in (
        problem.message
    )


def test_not_even_one_image_fits() -> None:
    (problem,) = rules.check_memory(make_memory(estimated=2000 * MB, available=300 * MB), 100 * MB, 16)
    assert "not even one image fits; lower trainer.input_size" in problem.message


@pytest.mark.parametrize("available", [pytest.param(1000 * MB, id="fits"), pytest.param(None, id="nobody-knows")])
def test_memory_that_suffices(available: int | None) -> None:
    assert rules.check_memory(make_memory(available=available), 100 * MB, 6) == ()


def test_losses_that_are_no_numbers_name_the_files() -> None:
    (problem,) = rules.check_losses(2, {"Loss/b": float("inf"), "Loss/a": float("nan"), "Loss/c": 1.0}, ["x.jpg"])
    assert problem.message.startswith("step 2: Loss/a is nan, Loss/b is inf;")
    assert problem.message.endswith("x.jpg")
    assert rules.check_losses(1, {"Loss/a": 1.0}, ["x.jpg"]) == ()
