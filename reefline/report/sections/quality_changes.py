"""Candidate against baseline: the images that became better or worse, with both models' detections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reefline.evaluation.comparison import Comparison, ImageChange, ImageTally, compare_models, min_scores_of
from reefline.evaluation.error_kinds import find_errors
from reefline.report.sections.quality_gallery import draw_error, name_error
from reefline.report.sections.quality_pictures import DrawnBox, Photo, draw_found, draw_truth
from reefline.structures.detections import ScoredImage
from reefline.structures.split_detections import BASELINE, SHIPPED

if TYPE_CHECKING:
    from reefline.evaluation.curves import ClassCurve
    from reefline.structures.split_detections import SplitDetections

MAX_FIGURES = 8


@dataclass(frozen=True)
class ModelView:
    """What a model detected in an image, drawn, and how many of it is correct."""

    name: str
    tally: ImageTally
    boxes: tuple[DrawnBox, ...]


@dataclass(frozen=True)
class ChangeFigure:
    """An image that became better or worse; `gain` is the difference in F1."""

    photo: Photo
    gain: float
    views: tuple[ModelView, ModelView]


@dataclass(frozen=True)
class Changes:
    """How many images became better, worse or neither, and pictures of the largest changes."""

    better: int
    worse: int
    unchanged: int
    better_figures: tuple[ChangeFigure, ...]
    worse_figures: tuple[ChangeFigure, ...]


@dataclass(frozen=True, eq=False)
class ComparedModels:
    """The shipped model, the baseline, and the curves of both."""

    split: SplitDetections
    shipped: Sequence[ClassCurve]
    baseline: Sequence[ClassCurve]

    def compare(self) -> Comparison:
        """Return the images in which the two models differ."""
        split = self.split
        return compare_models(split.scored(SHIPPED), split.scored(BASELINE), self.shipped, self.baseline)


def choose_changes(comparison: Comparison) -> tuple[ImageChange, ...]:
    """Return the changes to show, better and worse in turn."""
    better, worse = comparison.better[:MAX_FIGURES], comparison.worse[:MAX_FIGURES]
    shown = [change for pair in zip(better, worse, strict=False) for change in pair]
    return (*shown, *better[len(worse) :], *worse[len(better) :])


def draw_changes(models: ComparedModels, comparison: Comparison, photos: Mapping[int, Photo]) -> Changes:
    """Return the pictures of the largest changes whose images are in `photos`."""

    def draw(changes: Sequence[ImageChange]) -> tuple[ChangeFigure, ...]:
        shown = [change for change in changes[:MAX_FIGURES] if change.image_index in photos]
        return tuple(_draw_change(models, change, photos[change.image_index]) for change in shown)

    return Changes(
        better=len(comparison.better),
        worse=len(comparison.worse),
        unchanged=comparison.unchanged,
        better_figures=draw(comparison.better),
        worse_figures=draw(comparison.worse),
    )


def _draw_change(models: ComparedModels, change: ImageChange, photo: Photo) -> ChangeFigure:
    views = (
        ModelView("Candidate", change.candidate, _draw_model(models, SHIPPED, change.image_index)),
        ModelView("Baseline", change.baseline, _draw_model(models, BASELINE, change.image_index)),
    )
    return ChangeFigure(photo, change.gain, views)


def _draw_model(models: ComparedModels, model: str, index: int) -> tuple[DrawnBox, ...]:
    split = models.split
    scored = ScoredImage(split.ground_truth[index], split.detections[model][index])
    min_scores = min_scores_of(models.shipped if model == SHIPPED else models.baseline)
    errors = find_errors([scored], min_scores)
    wrong = [draw_error(error, name_error(0, error, split.class_names)) for error in errors]
    found = draw_found(scored.detections, errors, min_scores, split.class_names)
    return (*draw_truth(scored.ground_truth, errors, split.class_names), *found, *wrong)
