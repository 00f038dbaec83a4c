"""The recipe: one small rule for each choice, with its source.

"Measured" refers to benchmarks/recipes.py, which draws the curves behind these numbers. The base: SSD MobileNetV1 0.75
at 300 px from COCO's weights, batch 8, momentum, cosine with a peak of 0.02, 50 warm-up steps, flips and crops reaches
mAP_50 0.85 on bccd after 300 steps of 0.29 s on 2 cores. docs/models.md lists the rules, and what did not pay.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from reefline.settings import Augmentation

CPU_MINUTES = 20
GPU_MINUTES = 30

# Measured, one animal, 159 training images, 400 steps: mAP 0.527 from COCO's detector, 0.259 from an ImageNet backbone,
# 0.223 from random weights.
PUBLISHED_ORDER = ("ssd_mobilenet_v1_300", "ssd_mobilenet_v2_320")
SCRATCH_TEMPLATE = "ssd_mobilenet_v2_320"
SCRATCH_SMALL_OBJECTS_TEMPLATE = "ssd_mobilenet_v2_fpnlite_320"
SCRATCH_SHORT_TEMPLATE = "ssd_mobilenet_v2_tiny"
SCRATCH_MIN_STEPS = 5000
MAX_SMALL_FRACTION = 0.5

CPU_BATCH_SIZE = 8
GPU_BATCH_SIZE = 16
LARGE_GPU_BATCH_SIZE = 32
LARGE_DATA_IMAGES = 5000

FINE_TUNING_RATE = 0.02
SCRATCH_RATE = 0.08

MIN_STEPS = 100
MAX_STEPS = 20_000
MAX_EPOCHS = 300
MAX_SCRATCH_EPOCHS = 600
# What a run does besides training: TFX's start, ingestion, the preflight, export, quantization and scores
# (benchmarks/README.md, "Whole runs": 97 s for bccd).
OTHER_WORK_S = 90.0

MIN_WARMUP_STEPS = 50
WARMUP_FRACTION = 0.03
EVALUATIONS = 10
FEWER_EVALUATIONS = 8
MAX_EVALUATION_FRACTION = 0.15
PATIENCE = 4
MIN_STEPS_FOR_PATIENCE = 1000
CALIBRATION_IMAGES = 200

GATE = {"min_map": 0.1, "max_quantization_drop": 0.02, "max_regression": 0.02, "min_edgetpu_ops": 0.9}


def choose_minutes(*, has_gpu: bool) -> int:
    """Return the budget of a run in minutes if none is given.

    A choice: what somebody waits for a first model. On 2 cores, 20 minutes are about 100 epochs of bccd.
    """
    return GPU_MINUTES if has_gpu else CPU_MINUTES


def choose_published_template(fitting: Sequence[str]) -> str | None:
    """Return the template whose published weights give the best model, None if none of `fitting` has measured ones.

    Measured: a start from COCO's detector beats one from an ImageNet backbone, and both beat random weights.
    """
    return next((name for name in PUBLISHED_ORDER if name in fitting), None)


def choose_scratch_template(fitting: Sequence[str], *, steps: int, small_fraction: float) -> str | None:
    """Return the template to train from random weights, None if none of the known ones fits.

    `steps` is how many steps of SCRATCH_TEMPLATE the budget has, `small_fraction` the share of small boxes at 300 px.
    Sources: benchmarks/README.md, "Whole runs" (the tiny template reaches mAP_50 0.75 on bccd in 14 minutes); Lin et
    al. 2017, "Feature Pyramid Networks for Object Detection", for small objects.
    """
    if steps < SCRATCH_MIN_STEPS:
        order = (SCRATCH_SHORT_TEMPLATE, SCRATCH_TEMPLATE)
    elif small_fraction > MAX_SMALL_FRACTION:
        order = (SCRATCH_SMALL_OBJECTS_TEMPLATE, SCRATCH_TEMPLATE)
    else:
        order = (SCRATCH_TEMPLATE, SCRATCH_SHORT_TEMPLATE)
    return next((name for name in order if name in fitting), None)


def choose_batch_size(*, has_gpu: bool, train_images: int) -> int:
    """Return the images per step: 8 on a CPU, 16 on a GPU, 32 on a GPU with many images; never more than there are.

    Measured on a CPU with 8. A GPU needs larger batches to be busy; 32 is what configs/default.yaml trains with there.
    """
    if not has_gpu:
        wanted = CPU_BATCH_SIZE
    else:
        wanted = LARGE_GPU_BATCH_SIZE if train_images >= LARGE_DATA_IMAGES else GPU_BATCH_SIZE
    return max(1, min(wanted, train_images))


def choose_learning_rate(batch_size: int, *, is_fine_tuning: bool) -> float:
    """Return the peak learning rate of momentum with a cosine: 0.02 for batch 8, linear in the batch.

    Sources: measured at batch 8 (bccd, 800 steps: mAP 0.573 with 0.02, 0.566 with 0.04); Goyal et al. 2017, "Accurate,
    Large Minibatch SGD", for linear scaling. Random weights: 0.08, that of the zoo's SSD, which needs no scaling.
    """
    return round(FINE_TUNING_RATE * batch_size / CPU_BATCH_SIZE, 6) if is_fine_tuning else SCRATCH_RATE


def choose_warmup_steps(steps: int) -> int:
    """Return the steps until the peak: 3 % of all, at least 50, at most half.

    Sources: measured with 50 of 300 steps; Goyal et al. 2017 for a warm-up before a large rate.
    """
    return min(steps // 2, max(MIN_WARMUP_STEPS, round(WARMUP_FRACTION * steps)))


def choose_augmentations() -> tuple[Augmentation, ...]:
    """Return horizontal flips and the SSD paper's crops.

    Measured on bccd, 800 steps, float model on val: mAP 0.573 and mAP_50 0.883 with ssd_random_crop (0.565 and 0.897
    with another seed), 0.561 and 0.873 with random_crop, 0.555 and 0.861 with random_crop and photometric changes. A
    vertical flip only on request: letters, animals and vehicles are not upside down.
    """
    return Augmentation.HORIZONTAL_FLIP, Augmentation.SSD_RANDOM_CROP


def choose_steps(available_s: float, step_s: float, *, epoch_steps: float, is_fine_tuning: bool) -> int:
    """Return how many steps of `step_s` seconds `available_s` has room for, rounded down to tens.

    At least 100, at most 20,000, and at most 300 epochs (600 from random weights) of `epoch_steps` steps each.
    Measured: mAP 0.218 after 100 steps, 0.527 after 400. The caps are choices: more epochs of few images overfit.
    """
    epochs = MAX_EPOCHS if is_fine_tuning else MAX_SCRATCH_EPOCHS
    most = min(MAX_STEPS, math.ceil(epochs * epoch_steps))
    affordable = math.floor(max(0.0, available_s) / step_s)
    return max(MIN_STEPS, min(affordable, most) // 10 * 10)


def choose_evaluations(evaluation_s: float, budget_s: float) -> int:
    """Return how often to evaluate: 10 times, or 8 times if evaluations of `evaluation_s` take over 15 % of the budget.

    A choice: fewer points miss the best checkpoint, more take steps from training.
    """
    return EVALUATIONS if EVALUATIONS * evaluation_s <= MAX_EVALUATION_FRACTION * budget_s else FEWER_EVALUATIONS


def choose_steps_per_eval(steps: int, evaluations: int) -> int:
    """Return the steps between two evaluations; the last evaluation is after the last step."""
    return math.ceil(steps / evaluations)


def choose_patience(steps: int) -> int | None:
    """Return after how many evaluations without a better mAP to stop; None for short runs, which never stop early.

    Measured: with 60 images and 100 steps, mAP was 0.52, 0.43, 0.09 and 0.30 around the peak of the learning rate, then
    rose to 0.87. In short runs such a dip is as long as the patience.
    """
    return PATIENCE if steps >= MIN_STEPS_FOR_PATIENCE else None
