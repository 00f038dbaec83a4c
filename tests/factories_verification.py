"""Builders of what a verification finds out; every default is a valid one."""

from __future__ import annotations

from reefline.od_api.probe import AnchorFit, ModelFacts
from reefline.settings import TrainerSettings
from reefline.verification.records import DataFacts, MemoryUse, Timings

MB = 10**6


def make_settings(**values: object) -> TrainerSettings:
    defaults = {
        "model": "ssd_mobilenet_v2_tiny",
        "batch_size": 8,
        "num_steps": 100,
        "steps_per_eval": 50,
        "warmup_steps": 10,
    }
    return TrainerSettings(**{**defaults, **values})


def make_data_facts(**facts: object) -> DataFacts:
    defaults = {
        "train_images": 80,
        "eval_images": 20,
        "test_images": 0,
        "counts_are_exact": True,
        "classes": ("cat", "dog"),
        "read_annotations": 100,
        "max_boxes_per_image": 3,
        "sampled_images": 64,
        "sampled_boxes": 90,
    }
    return DataFacts(**{**defaults, **facts})


def make_timings(**seconds: float) -> Timings:
    defaults = {
        "start_s": 10.0,
        "first_step_s": 20.0,
        "step_s": 0.5,
        "first_evaluation_s": 5.0,
        "evaluation_image_s": 0.1,
    }
    return Timings(**{**defaults, **seconds})


def make_model_facts() -> ModelFacts:
    return ModelFacts(
        template="ssd_mobilenet_v2_tiny",
        input_size_px=(96, 128),
        image_batch=(8, 96, 128, 3),
        feature_maps=((8, 6, 8, 192), (8, 3, 4, 448)),
        anchors=172,
        box_encodings=(8, 172, 4),
        class_scores=(8, 172, 3),
        trainable_parameters=873425,
        total_parameters=887665,
    )


def make_fit(**facts: object) -> AnchorFit:
    defaults = {"threshold": 0.5, "boxes": 100, "missed": 10, "smaller": 4, "larger": 1, "median_best_iou": 0.7}
    return AnchorFit(**{**defaults, **facts})


def make_memory(**sizes: object) -> MemoryUse:
    return MemoryUse(**{"estimated": 1000 * MB, "available": 2000 * MB, **sizes})
