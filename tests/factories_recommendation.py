"""Builders of what a recommendation is made from; every default is a valid one."""

from __future__ import annotations

from typing import Any

from reefline.od_api.model_config import load_template
from reefline.recommendation.candidates import Candidate
from reefline.recommendation.facts import DataTraits
from reefline.recommendation.machine import Machine
from reefline.recommendation.records import LeftOut, Recommendation, TemplateRow
from reefline.recommendation.template_costs import TEMPLATE_COSTS
from tests.factories_verification import MB, make_data_facts


def make_candidate(name: str = "ssd_mobilenet_v1_300", **facts: Any) -> Candidate:
    defaults = {
        "template": load_template(name),
        "start": "published",
        "knows": "COCO 2017 (90 classes)",
        "input_px": 300,
        "area_scale": 1.0,
        "batch_size": 8,
        "anchor_cover": 0.9,
        "cost": TEMPLATE_COSTS.get(name),
    }
    return Candidate(**{**defaults, **facts})


def make_traits(**facts: Any) -> DataTraits:
    defaults = {
        "facts": make_data_facts(),
        "box_sides": (0.1, 0.2, 0.3),
        "median_aspect": 1.0,
        "rarest_class": "cat",
        "rarest_boxes": 40,
        "most_boxes": 60,
        "median_long_side_px": 640,
    }
    return DataTraits(**{**defaults, **facts})


def make_machine(**facts: Any) -> Machine:
    return Machine(**{"cores": 2, "gpus": 0, "memory_bytes": 8000 * MB, **facts})


def make_row(**facts: Any) -> TemplateRow:
    defaults = {
        "template": "ssd_mobilenet_v1_300",
        "start": "COCO 2017 (90 classes)",
        "input_px": 300,
        "batch_size": 8,
        "steps": 3470,
        "epochs": 135.4,
        "edge_tpu_ops": (64, 67),
        "anchor_cover": 0.92,
        "memory_bytes": 1100 * MB,
        "seconds": 1195.0,
    }
    return TemplateRow(**{**defaults, **facts})


def make_recommendation(**facts: Any) -> Recommendation:
    defaults = {
        "minutes": 20,
        "data": "364 images",
        "machine": "2 cores, no GPU",
        "measured": "measured: 0.29 s per step",
        "rows": (make_row(),),
        "left_out": (LeftOut("ssd_resnet50_fpn_640", "needs 12.0 GB"),),
        "settings": "ssd_mobilenet_v1_300 (published), 300 px",
        "reason": "its published weights already know COCO",
        "seconds": 1195.0,
        "notes": ("class cat has 3 boxes",),
        "header": ("Recommended for 20 minutes.",),
        "config": {
            "model_name": "detector",
            "trainer": {"model": "ssd_mobilenet_v1_300", "start": {"source": "published"}, "num_steps": 3470},
            "gate": {"min_map": 0.1},
        },
    }
    return Recommendation(**{**defaults, **facts})
