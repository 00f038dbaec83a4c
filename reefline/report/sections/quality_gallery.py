"""The gallery of the quality section: the worst errors at the suggested thresholds, drawn over their images."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from reefline.evaluation.error_kinds import DetectionError, ErrorKind
from reefline.report.sections.quality_pictures import (
    BoxRole,
    DrawnBox,
    Photo,
    draw_found,
    draw_truth,
)
from reefline.structures.split_detections import SHIPPED

if TYPE_CHECKING:
    from reefline.structures.split_detections import SplitDetections

_FIGURES, _FIGURES_OF_MANY_IMAGES = 24, 60
# An image with more errors than these is unreadable anyway.
MAX_ERRORS_PER_FIGURE = 12
_NBSP = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class KindText:
    """An error kind as the page names and explains it."""

    kind: ErrorKind
    title: str
    meaning: str


KIND_TEXTS = (
    KindText(ErrorKind.BACKGROUND, "false positive", "A detection where no object is annotated."),
    KindText(ErrorKind.MISSED, "missed", "An annotated object that no detection overlaps well enough."),
    KindText(ErrorKind.CLASSIFICATION, "wrong class", "The box fits an object, but the class is another one's."),
    KindText(ErrorKind.LOCALISATION, "poor box", "The class is right, but the box overlaps the object too little."),
    KindText(ErrorKind.BOTH, "wrong class and box", "The class is wrong, and the box overlaps the object too little."),
    KindText(ErrorKind.DUPLICATE, "duplicate", "A further detection of an object that is already found."),
)
_TITLES = {text.kind: text.title for text in KIND_TEXTS}


@dataclass(frozen=True)
class ShownError:
    """An error as its figure lists it; `classes` are those by which the reader finds it, `number` counts from 1."""

    number: int
    kind: ErrorKind
    detected: str | None
    truth: str | None
    score: float | None
    iou: float | None

    @property
    def title(self) -> str:
        """The kind as the page names it."""
        return _TITLES[self.kind]

    @property
    def classes(self) -> tuple[str, ...]:
        """The detected and the true class, each once."""
        return tuple(dict.fromkeys(label for label in (self.detected, self.truth) if label is not None))

    @property
    def caption(self) -> str:
        """Classes, score and IoU."""
        parts = [self._describe_classes()]
        if self.score is not None:
            parts.append(f"score{_NBSP}{self.score:.2f}")
        if self.iou is not None:
            parts.append(f"IoU{_NBSP}{self.iou:.2f}")
        return ", ".join(parts)

    def _describe_classes(self) -> str:
        if self.detected is None or self.truth is None or self.detected == self.truth:
            return self.detected or self.truth or ""
        return f"{self.detected}, annotated as {self.truth}"


@dataclass(frozen=True)
class Figure:
    """An image with its errors; `more` are not listed."""

    photo: Photo
    boxes: tuple[DrawnBox, ...]
    errors: tuple[ShownError, ...]
    more: int


@dataclass(frozen=True)
class Gallery:
    """The figures, the classes and kinds that occur in them, and what is left out."""

    figures: tuple[Figure, ...]
    classes: tuple[str, ...]
    kinds: tuple[KindText, ...]
    images_left_out: int
    errors_total: int

    def find(self, error: ShownError) -> str:
        """Return the places of an error's classes among `classes`, as the script reads them."""
        return " ".join(str(self.classes.index(label)) for label in error.classes)


def max_figures(images: int) -> int:
    """Return how many images of a split the gallery shows: a small data set has a small page."""
    return min(max(_FIGURES, images // 4), _FIGURES_OF_MANY_IMAGES)


def rank_errors(errors: Iterable[DetectionError]) -> tuple[DetectionError, ...]:
    """Return the errors, the worst of each kind in turn: detections by score, missed objects by size."""
    by_kind: dict[ErrorKind, list[DetectionError]] = defaultdict(list)
    for error in errors:
        by_kind[error.kind].append(error)
    ranked = [sorted(by_kind[text.kind], key=_rank) for text in KIND_TEXTS]
    return tuple(error for turn in zip_longest(*ranked) for error in turn if error is not None)


def make_gallery(
    split: SplitDetections,
    ranked: Sequence[DetectionError],
    min_scores: Sequence[float],
    photos: Mapping[int, Photo],
) -> Gallery:
    """Return the figures of the images in `photos`, those with the worst errors first.

    `min_scores` are the thresholds of the shipped model's detections, one per class.
    """
    of_image: dict[int, list[DetectionError]] = defaultdict(list)
    for error in ranked:
        of_image[error.image_index].append(error)
    chosen = [index for index in of_image if index in photos][: max_figures(len(split.images))]
    figures = tuple(_make_figure(split, index, of_image[index], min_scores, photos[index]) for index in chosen)
    listed = [error for figure in figures for error in figure.errors]
    occurring = {error.kind for error in listed}
    names = {label for error in listed for label in error.classes}
    return Gallery(
        figures=figures,
        classes=tuple(label for label in split.class_names if label in names),
        kinds=tuple(text for text in KIND_TEXTS if text.kind in occurring),
        images_left_out=len(of_image) - len(figures),
        errors_total=len(ranked),
    )


def count_kinds(errors: Iterable[DetectionError]) -> Mapping[ErrorKind, int]:
    """Return how many errors of each kind there are."""
    return Counter(error.kind for error in errors)


def _rank(error: DetectionError) -> float:
    """Return what sorts the worst error first."""
    if error.score is not None:
        return -error.score
    return -error.truth_box.width_px * error.truth_box.height_px if error.truth_box else 0.0


def _make_figure(
    split: SplitDetections, index: int, errors: Sequence[DetectionError], min_scores: Sequence[float], photo: Photo
) -> Figure:
    shown = tuple(
        name_error(number, error, split.class_names)
        for number, error in enumerate(errors[:MAX_ERRORS_PER_FIGURE], start=1)
    )
    return Figure(
        photo=photo,
        boxes=(
            *draw_truth(split.ground_truth[index], errors[:MAX_ERRORS_PER_FIGURE], split.class_names),
            *draw_found(split.detections[SHIPPED][index], errors, min_scores, split.class_names),
            *(draw_error(error, named) for error, named in zip(errors, shown, strict=False)),
        ),
        errors=shown,
        more=len(errors) - len(shown),
    )


def name_error(number: int, error: DetectionError, class_names: Sequence[str]) -> ShownError:
    """Return an error with the names of its classes."""

    def name(index: int | None) -> str | None:
        return None if index is None else class_names[index]

    return ShownError(number, error.kind, name(error.detected_class), name(error.truth_class), error.score, error.iou)


def draw_error(error: DetectionError, named: ShownError) -> DrawnBox:
    """Return the box of an error: the detection's, or the missed object's."""
    is_missed = error.kind is ErrorKind.MISSED
    box = error.truth_box if is_missed else error.box
    if box is None:
        raise ValueError(f"{error}: an error has the box of a detection or of an object")
    role = BoxRole.MISSED if is_missed else BoxRole.WRONG
    return DrawnBox(box, role, f"{named.title}: {named.caption}", named.number)
