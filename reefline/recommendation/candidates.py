"""The templates that could be trained on the data, and what each would need on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from reefline.od_api.model_config import ModelTemplate, build_model_config, list_templates, load_template
from reefline.od_api.model_config_rules import EXPORTED_KIND, find_input_size_problems
from reefline.od_api.probe import generate_anchors, measure_anchor_fit, read_match_threshold
from reefline.recommendation.machine import Machine
from reefline.recommendation.recipes import choose_batch_size
from reefline.recommendation.records import LeftOut
from reefline.recommendation.template_costs import TEMPLATE_COSTS, TemplateCost
from reefline.recommendation.wishes import Wishes
from reefline.settings import EdgeTpuTarget
from reefline.system.terminal import format_bytes
from reefline.verification.sample import DataSample

PUBLISHED = "published"
SCRATCH = "scratch"
# As many as give a share to two digits.
_FITTED_BOXES = 300


@dataclass(frozen=True)
class Candidate:
    """A template that fits in memory, with its start and batch; `area_scale` is the input's area by the template's own.

    `knows` describes what published weights were trained on, "" for another start.
    """

    template: ModelTemplate
    start: str
    knows: str
    input_px: int
    area_scale: float
    batch_size: int
    anchor_cover: float
    cost: TemplateCost | None

    @property
    def is_fine_tuning(self) -> bool:
        """Whether training starts from learnt weights."""
        return self.start != SCRATCH

    @property
    def memory_bytes(self) -> int | None:
        """About how much memory training needs; None if unknown."""
        return self.cost.memory_bytes(self.batch_size, self.area_scale) if self.cost else None

    @property
    def image_cost(self) -> float | None:
        """The cost of a training step per image, as seconds on the reference machine; None if unknown."""
        return self.cost.image_s(self.area_scale) if self.cost else None


def list_candidates(
    wishes: Wishes, sample: DataSample, machine: Machine
) -> tuple[tuple[Candidate, ...], tuple[LeftOut, ...]]:
    """Return the templates that fit, and those that do not.

    A template that the command line names always fits: it is what the user wants.
    """
    wanted = wishes.config.trainer.model if wishes.sets("trainer.model") else None
    candidates, left_out = [], []
    for template in _eligible_templates(wishes.config.edgetpu):
        candidate, problem = _examine(template, wishes, sample, machine)
        if problem and template.name != wanted:
            left_out.append(LeftOut(template.name, problem))
        else:
            candidates.append(candidate)
    return tuple(candidates), tuple(left_out)


def _eligible_templates(target: EdgeTpuTarget) -> Iterator[ModelTemplate]:
    for name in list_templates():
        template = load_template(name)
        if template.kind == EXPORTED_KIND and (template.edge_tpu or target is EdgeTpuTarget.NEVER):
            yield template


def _examine(template: ModelTemplate, wishes: Wishes, sample: DataSample, machine: Machine) -> tuple[Candidate, str]:
    """Return the candidate, and why it does not fit, "" if it does."""
    trainer, published = wishes.config.trainer, template.published
    start = PUBLISHED if published else SCRATCH
    if wishes.sets("trainer.start"):
        start = trainer.start.source
    own = build_model_config(template, None, len(sample.facts.classes))
    config = build_model_config(template, trainer.input_size, len(sample.facts.classes))
    own_px, input_px = _input_px(own), _input_px(config)
    candidate = Candidate(
        template=template,
        start=start,
        knows=published.knows if published and start == PUBLISHED else "",
        input_px=input_px,
        area_scale=(input_px / own_px) ** 2,
        batch_size=_choose_batch_size(wishes, sample, machine),
        anchor_cover=_measure_cover(config, sample.boxes_yxyx),
        cost=TEMPLATE_COSTS.get(template.name),
    )
    problems = [
        *(["no published weights"] if start == PUBLISHED and published is None else []),
        *find_input_size_problems(config),
        *_find_memory_problems(candidate, machine.memory_bytes),
    ]
    return candidate, "; ".join(problems)


def _input_px(config: Any) -> int:
    return int(config.model.ssd.image_resizer.fixed_shape_resizer.height)


def _choose_batch_size(wishes: Wishes, sample: DataSample, machine: Machine) -> int:
    if wishes.sets("trainer.batch_size"):
        return wishes.config.trainer.batch_size
    return choose_batch_size(has_gpu=machine.has_gpu, train_images=sample.facts.train_images)


def _measure_cover(config: Any, boxes_yxyx: Sequence[tuple[float, float, float, float]]) -> float:
    every = -(-len(boxes_yxyx) // _FITTED_BOXES)
    fit = measure_anchor_fit(generate_anchors(config), boxes_yxyx[::every], read_match_threshold(config))
    return 1.0 - fit.missed_fraction


def _find_memory_problems(candidate: Candidate, available_bytes: int | None) -> list[str]:
    needed = candidate.memory_bytes
    if needed is None or available_bytes is None or needed <= available_bytes:
        return []
    return [
        f"needs about {format_bytes(needed)} of memory for batches of {candidate.batch_size}; "
        f"{format_bytes(available_bytes)} is free"
    ]
