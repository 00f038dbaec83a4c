"""The rules of the recipe, each on its own."""

from __future__ import annotations

import pytest

from reefline.od_api.model_config import load_template
from reefline.recommendation import recipes
from reefline.settings import Augmentation


@pytest.mark.parametrize(("has_gpu", "minutes"), [pytest.param(False, 20, id="cpu"), pytest.param(True, 30, id="gpu")])
def test_the_budget_without_minutes(has_gpu: bool, minutes: int) -> None:
    assert recipes.choose_minutes(has_gpu=has_gpu) == minutes


@pytest.mark.parametrize(
    ("fitting", "chosen"),
    [
        pytest.param(["ssd_mobilenet_v2_320", "ssd_mobilenet_v1_300"], "ssd_mobilenet_v1_300", id="coco-first"),
        pytest.param(["ssd_mobilenet_v2_320"], "ssd_mobilenet_v2_320", id="imagenet"),
        pytest.param(["ssd_resnet50_fpn_640"], None, id="none-measured"),
    ],
)
def test_the_best_published_start(fitting: list[str], chosen: str | None) -> None:
    assert recipes.choose_published_template(fitting) == chosen


@pytest.mark.parametrize("name", recipes.PUBLISHED_ORDER)
def test_what_is_recommended_for_its_weights_has_some(name: str) -> None:
    assert load_template(name).published is not None


ALL = ("ssd_mobilenet_v2_tiny", "ssd_mobilenet_v2_320", "ssd_mobilenet_v2_fpnlite_320")


@pytest.mark.parametrize(
    ("fitting", "steps", "small", "chosen"),
    [
        pytest.param(ALL, 4999, 0.9, "ssd_mobilenet_v2_tiny", id="short"),
        pytest.param(ALL, 5000, 0.5, "ssd_mobilenet_v2_320", id="long"),
        pytest.param(ALL, 5000, 0.51, "ssd_mobilenet_v2_fpnlite_320", id="small-objects"),
        pytest.param(ALL[1:], 100, 0.0, "ssd_mobilenet_v2_320", id="next-best"),
        pytest.param((), 5000, 0.0, None, id="nothing-fits"),
    ],
)
def test_the_template_from_random_weights(
    fitting: tuple[str, ...], steps: int, small: float, chosen: str | None
) -> None:
    assert recipes.choose_scratch_template(fitting, steps=steps, small_fraction=small) == chosen


@pytest.mark.parametrize(
    ("has_gpu", "images", "size"),
    [
        pytest.param(False, 10_000, 8, id="cpu"),
        pytest.param(True, 4999, 16, id="gpu"),
        pytest.param(True, 5000, 32, id="gpu-many-images"),
        pytest.param(False, 5, 5, id="fewer-images"),
    ],
)
def test_the_batch_size(has_gpu: bool, images: int, size: int) -> None:
    assert recipes.choose_batch_size(has_gpu=has_gpu, train_images=images) == size


@pytest.mark.parametrize(
    ("batch_size", "is_fine_tuning", "rate"),
    [
        pytest.param(8, True, 0.02, id="measured"),
        pytest.param(32, True, 0.08, id="linear"),
        pytest.param(4, True, 0.01, id="small-batch"),
        pytest.param(32, False, 0.08, id="scratch"),
    ],
)
def test_the_learning_rate(batch_size: int, is_fine_tuning: bool, rate: float) -> None:
    assert recipes.choose_learning_rate(batch_size, is_fine_tuning=is_fine_tuning) == rate


@pytest.mark.parametrize(
    ("steps", "warmup"),
    [
        pytest.param(300, 50, id="at-least-50"),
        pytest.param(4000, 120, id="three-percent"),
        pytest.param(60, 30, id="at-most-half"),
    ],
)
def test_the_warm_up(steps: int, warmup: int) -> None:
    assert recipes.choose_warmup_steps(steps) == warmup


def test_nothing_is_turned_upside_down_unasked() -> None:
    assert recipes.choose_augmentations() == (Augmentation.HORIZONTAL_FLIP, Augmentation.SSD_RANDOM_CROP)


@pytest.mark.parametrize(
    ("available_s", "step_s", "epoch_steps", "is_fine_tuning", "steps"),
    [
        pytest.param(1000.0, 0.29, 36.5, True, 3440, id="tens"),
        pytest.param(-5.0, 0.29, 36.5, True, 100, id="at-least-100"),
        pytest.param(1e6, 0.01, 1e4, True, 20_000, id="at-most-20000"),
        pytest.param(1e6, 0.29, 10.0, True, 3000, id="at-most-300-epochs"),
        pytest.param(1e6, 0.29, 10.0, False, 6000, id="more-from-scratch"),
    ],
)
def test_the_steps(available_s: float, step_s: float, epoch_steps: float, is_fine_tuning: bool, steps: int) -> None:
    found = recipes.choose_steps(available_s, step_s, epoch_steps=epoch_steps, is_fine_tuning=is_fine_tuning)
    assert found == steps


@pytest.mark.parametrize(
    ("evaluation_s", "evaluations"), [pytest.param(15.0, 10, id="cheap"), pytest.param(15.1, 8, id="costly")]
)
def test_how_often_to_evaluate(evaluation_s: float, evaluations: int) -> None:
    assert recipes.choose_evaluations(evaluation_s, 1000.0) == evaluations


@pytest.mark.parametrize("steps", [100, 110, 1234, 3470, 20_000])
@pytest.mark.parametrize("evaluations", [8, 10])
def test_there_are_8_to_10_evaluations(steps: int, evaluations: int) -> None:
    steps_per_eval = recipes.choose_steps_per_eval(steps, evaluations)
    assert 8 <= -(-steps // steps_per_eval) <= 10
    # Early stopping must be able to trigger.
    assert evaluations > recipes.PATIENCE


@pytest.mark.parametrize(("steps", "patience"), [pytest.param(990, None, id="short"), pytest.param(1000, 4, id="long")])
def test_short_runs_never_stop_early(steps: int, patience: int | None) -> None:
    assert recipes.choose_patience(steps) == patience
