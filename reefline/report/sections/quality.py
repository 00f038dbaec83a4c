"""The quality section: how good each model is, where the shipped one errs, and what changed against the baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reefline.evaluation.comparison import min_scores_of
from reefline.evaluation.confusion import confusion_over_thresholds
from reefline.evaluation.curves import compute_curves
from reefline.evaluation.error_kinds import ErrorKind, cost_of_errors, find_errors
from reefline.evaluation.report import EvaluationReport
from reefline.evaluation.scores import Scores
from reefline.images.thumbnails import read_thumbnails
from reefline.report.charts import bar_chart
from reefline.report.page import as_json_block
from reefline.report.section import Section, render
from reefline.report.sections.quality_changes import Changes, ComparedModels, choose_changes, draw_changes
from reefline.report.sections.quality_confusion import ConfusionView, view_confusion
from reefline.report.sections.quality_curves import CurveCharts, draw_curves
from reefline.report.sections.quality_gallery import (
    KIND_TEXTS,
    Gallery,
    KindText,
    count_kinds,
    make_gallery,
    max_figures,
    rank_errors,
)
from reefline.report.sections.quality_metrics import ClassRow, MetricRow, compare_metrics, list_classes
from reefline.report.sections.quality_pictures import MAX_EMBEDDED_BYTES, Photo, choose_photos
from reefline.report.sources import RunSources
from reefline.structures.artifacts import ScoresFolder
from reefline.structures.split_detections import BASELINE, SHIPPED, SplitDetections
from reefline.tflite.quantization_report import QuantizationReport

if TYPE_CHECKING:
    from markupsafe import Markup

    from reefline.evaluation.curves import ClassCurve
    from reefline.structures.detections import ScoredImage


@dataclass(frozen=True)
class KindCost:
    """An error kind, how often it occurs at the suggested thresholds, and what mAP_50 would gain without it."""

    text: KindText
    count: int
    cost: float


@dataclass(frozen=True, eq=False)
class DetectionFacts:
    """What follows from the detections of the shipped model and the baseline; `changes` is None without a baseline."""

    images: int
    curves: CurveCharts | None
    confusion: ConfusionView
    costs: tuple[KindCost, ...]
    cost_chart: Markup
    gallery: Gallery
    changes: Changes | None
    photos: tuple[Photo, ...]


@dataclass(frozen=True, eq=False)
class QualityFacts:
    """What the section shows; `detections` is None for scores without a file of detections."""

    scores: Scores
    metrics: tuple[MetricRow, ...]
    classes: tuple[ClassRow, ...]
    quantization: QuantizationReport | None
    detections: DetectionFacts | None


def make_quality_section(sources: RunSources) -> Section | None:
    """Return the section; None if the run scored nothing.

    Raises:
        RecordError: the scores, the detections or the evaluation are damaged.
    """
    facts = find_quality_facts(sources)
    if facts is None:
        return None
    data = as_json_block("confusion-data", facts.detections.confusion.to_json()) if facts.detections else ""
    return Section("quality", "Quality", render("quality.html", facts=facts, confusion_data=data))


def find_quality_facts(sources: RunSources) -> QualityFacts | None:
    """Return what the section shows; None if the run scored nothing.

    Raises:
        RecordError: the scores, the detections or the evaluation are damaged.
    """
    if sources.scores is None:
        return None
    scores = Scores.read(sources.scores.scores)
    evaluation = None if sources.evaluation is None else EvaluationReport.read(sources.evaluation.evaluation)
    curves: tuple[ClassCurve, ...] = ()
    detections = None
    if sources.scores.detections.is_file():
        split = SplitDetections.read(sources.scores.detections)
        curves = compute_curves(split.scored(SHIPPED), split.class_names)
        detections = _examine_detections(split, curves, sources.scores)
    return QualityFacts(
        scores=scores,
        metrics=compare_metrics(scores),
        classes=list_classes(scores, curves),
        quantization=None if evaluation is None else evaluation.quantization,
        detections=detections,
    )


def _examine_detections(split: SplitDetections, curves: tuple[ClassCurve, ...], folder: ScoresFolder) -> DetectionFacts:
    shipped = split.scored(SHIPPED)
    min_scores = min_scores_of(curves)
    errors = find_errors(shipped, min_scores)
    ranked = rank_errors(errors)
    models = _pair_models(split, curves)
    comparison = models.compare() if models else None
    # The comparison is small, so it comes first where thumbnails must be left out.
    changed = [change.image_index for change in choose_changes(comparison)] if comparison else []
    worst = list(dict.fromkeys(error.image_index for error in ranked))[: max_figures(len(split.images))]
    thumbnails = read_thumbnails(folder.thumbnails, {split.images[index].name for index in (*changed, *worst)})
    photos = choose_photos(split.images, (*changed, *worst), thumbnails, MAX_EMBEDDED_BYTES)
    costs = _price_kinds(shipped, len(split.class_names), count_kinds(errors))
    suggested = [curve.best_confidence for curve in curves if curve.best_confidence is not None]
    return DetectionFacts(
        images=len(split.images),
        curves=draw_curves(curves),
        confusion=view_confusion(
            confusion_over_thresholds(shipped, len(split.class_names)), split.class_names, suggested
        ),
        costs=costs,
        cost_chart=bar_chart("mAP_50 that fixing all errors of a kind would add", _name_costs(costs)),
        gallery=make_gallery(split, ranked, min_scores, photos),
        changes=draw_changes(models, comparison, photos) if models and comparison else None,
        photos=tuple(photos.values()),
    )


def _pair_models(split: SplitDetections, curves: tuple[ClassCurve, ...]) -> ComparedModels | None:
    if BASELINE not in split.detections:
        return None
    return ComparedModels(split, curves, compute_curves(split.scored(BASELINE), split.class_names))


def _price_kinds(
    images: tuple[ScoredImage, ...], class_count: int, counts: Mapping[ErrorKind, int]
) -> tuple[KindCost, ...]:
    """Return every kind, the most expensive first."""
    costs = cost_of_errors(images, class_count)
    priced = [KindCost(text, counts[text.kind], costs[text.kind]) for text in KIND_TEXTS]
    return tuple(sorted(priced, key=lambda each: -each.cost))


def _name_costs(costs: tuple[KindCost, ...]) -> Mapping[str, float]:
    return {each.text.title: each.cost for each in costs}
