from __future__ import annotations

import io

import pytest

from reefline.training.overfitting import LossPair, describe_overfitting
from reefline.training.progress import TrainingProgress
from reefline.training.report import EvaluationPoint


def _pairs(training: list[float], evaluation: list[float]) -> list[LossPair]:
    steps = range(100, 1000, 100)
    return [LossPair(step, train, held_out) for step, train, held_out in zip(steps, training, evaluation, strict=False)]


def test_the_step_where_the_losses_part_is_told() -> None:
    assert describe_overfitting(_pairs([0.9, 0.5, 0.3, 0.2], [0.8, 0.6, 0.7, 0.9])) == (
        "Overfitting from step 200 on: eval loss rose from 0.600 to 0.900 while training loss fell from 0.500 to "
        "0.200; more images or augmentations help."
    )


@pytest.mark.parametrize(
    ("training", "evaluation"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([0.9, 0.5, 0.3], [0.8, 0.6, 0.5], id="still-falling"),
        pytest.param([0.9, 0.5, 0.3], [0.8, 0.6, 0.9], id="one-evaluation-later"),
        pytest.param([0.9, 0.5, 0.4, 0.3], [0.8, 0.60, 0.61, 0.62], id="noise"),
        pytest.param([0.5, 0.9, 1.0, 1.1], [0.6, 0.8, 0.9, 1.0], id="both-rise"),
    ],
)
def test_other_courses_are_no_overfitting(training: list[float], evaluation: list[float]) -> None:
    assert describe_overfitting(_pairs(training, evaluation)) == ""


@pytest.mark.parametrize(
    ("last_loss", "is_told"), [pytest.param(0.9, True, id="rises"), pytest.param(0.3, False, id="falls")]
)
def test_training_compares_the_mean_of_its_steps_with_each_evaluation(last_loss: float, is_told: bool) -> None:
    stream = io.StringIO()
    with TrainingProgress(8, stream) as bar:
        for number, eval_loss in enumerate((0.6, 0.5, 0.7, last_loss), start=1):
            bar.step(2 * number - 1, 1.0 / number)
            bar.step(2 * number, 2.0 / number)
            bar.evaluation(EvaluationPoint(step=2 * number, map=0.5, map_50=0.5, loss=eval_loss), None, 0.0)
        bar.tell_overfitting()
    told = "Overfitting from step 4 on: eval loss rose from 0.500 to 0.900 while training loss fell from 0.750 to 0.375"
    assert (told in stream.getvalue()) == is_told
