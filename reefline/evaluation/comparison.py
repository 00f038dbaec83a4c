"""Candidate against baseline: the images in which one detects better than the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reefline.evaluation.matching import match_images
from reefline.structures.detections import DEFAULT_MIN_SCORE

if TYPE_CHECKING:
    from reefline.evaluation.curves import ClassCurve
    from reefline.structures.detections import ScoredImage


@dataclass(frozen=True)
class ImageTally:
    """A model's detections in one image at IoU 0.5: correct and wrong ones, and objects that none found."""

    correct: int
    wrong: int
    missed: int

    @property
    def f1(self) -> float:
        """F1 of the image, 0..1; 1 where there is nothing to find and nothing was detected."""
        total = 2 * self.correct + self.wrong + self.missed
        return 2 * self.correct / total if total else 1.0


@dataclass(frozen=True)
class ImageChange:
    """An image in which the two models differ; `image_index` is its place in the split."""

    image_index: int
    candidate: ImageTally
    baseline: ImageTally

    @property
    def gain(self) -> float:
        """The candidate's F1 minus the baseline's, -1..1."""
        return self.candidate.f1 - self.baseline.f1


@dataclass(frozen=True)
class Comparison:
    """The images that became better and worse, each the largest change first, and how many have the same F1."""

    better: tuple[ImageChange, ...]
    worse: tuple[ImageChange, ...]
    unchanged: int


def compare_models(
    candidate: Sequence[ScoredImage],
    baseline: Sequence[ScoredImage],
    candidate_curves: Sequence[ClassCurve],
    baseline_curves: Sequence[ClassCurve],
) -> Comparison:
    """Compare the F1 of each image, both models at their own suggested thresholds.

    Both list the same images in the same order. A class without a suggestion has `reefline detect`'s default.
    """
    pairs = zip(
        tally_images(candidate, min_scores_of(candidate_curves)),
        tally_images(baseline, min_scores_of(baseline_curves)),
        strict=True,
    )
    changes = [ImageChange(index, *pair) for index, pair in enumerate(pairs)]
    better = sorted((change for change in changes if change.gain > 0), key=lambda change: -change.gain)
    worse = sorted((change for change in changes if change.gain < 0), key=lambda change: change.gain)
    return Comparison(tuple(better), tuple(worse), len(changes) - len(better) - len(worse))


def min_scores_of(curves: Sequence[ClassCurve]) -> tuple[float, ...]:
    """Return the score from which detections of each class are reported."""
    return tuple(DEFAULT_MIN_SCORE if curve.best_confidence is None else curve.best_confidence for curve in curves)


def tally_images(images: Sequence[ScoredImage], min_scores: Sequence[float]) -> tuple[ImageTally, ...]:
    """Return one tally per image; `min_scores` has one score per class."""
    import numpy as np

    lowest = np.asarray(min_scores, dtype=np.float64)
    tallies = []
    for image, match in zip(images, match_images(images), strict=True):
        # A higher score chooses its object first, so leaving low scores out changes no match of the others.
        counted = image.detections.scores[match.rows] >= lowest[image.detections.class_indices[match.rows]]
        correct = int((match.found[counted] >= 0).sum())
        tallies.append(
            ImageTally(correct, int(counted.sum()) - correct, len(image.ground_truth.class_indices) - correct)
        )
    return tuple(tallies)
