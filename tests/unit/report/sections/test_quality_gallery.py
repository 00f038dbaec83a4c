"""The gallery of the worst errors."""

from __future__ import annotations

import pytest

from reefline.evaluation.error_kinds import DetectionError, ErrorKind, find_errors
from reefline.report.sections.quality_gallery import (
    KIND_TEXTS,
    MAX_ERRORS_PER_FIGURE,
    Gallery,
    ShownError,
    make_gallery,
    max_figures,
    name_error,
    rank_errors,
)
from reefline.report.sections.quality_pictures import BoxRole, choose_photos
from reefline.structures.boxes import BoxXyxyPx
from reefline.structures.split_detections import SplitDetections, SplitImage
from tests.factories_evaluation import make_detections, make_ground_truth

NAMES = ("cat", "dog", "eel")


def make_split(*images: tuple[list[tuple], list[tuple]]) -> SplitDetections:
    """Return a split from rows of ground truth and of detections."""
    return SplitDetections(
        class_names=NAMES,
        images=tuple(SplitImage(f"{number}.jpg", 100, 50) for number in range(len(images))),
        ground_truth=tuple(make_ground_truth(*truth) for truth, _ in images),
        detections={"shipped": tuple(make_detections(*seen) for _, seen in images)},
    )


def make(split: SplitDetections, min_scores: tuple[float, ...] = (0.0, 0.0, 0.0)) -> Gallery:
    """Return the gallery of a split with every thumbnail missing."""
    ranked = rank_errors(find_errors(split.scored("shipped"), min_scores))
    photos = choose_photos(split.images, [error.image_index for error in ranked], {}, 0)
    return make_gallery(split, ranked, min_scores, photos)


def make_error(kind: ErrorKind, *, score: float | None = None, size: float = 10, image: int = 0) -> DetectionError:
    """Return an error with a square box."""
    box = BoxXyxyPx(0, 0, size, size)
    return DetectionError(image, kind, 0, None if score is None else 1, score, None, box, box)


def test_every_kind_has_a_text() -> None:
    assert {text.kind for text in KIND_TEXTS} == set(ErrorKind)


def test_the_worst_of_each_kind_take_turns() -> None:
    low, high = (make_error(ErrorKind.BACKGROUND, score=score) for score in (0.3, 0.9))
    small, large = (make_error(ErrorKind.MISSED, size=size) for size in (5, 50))
    wrong = make_error(ErrorKind.CLASSIFICATION, score=0.5)
    assert rank_errors([low, small, wrong, high, large]) == (high, large, wrong, low, small)


@pytest.mark.parametrize(
    ("kind", "truth", "seen", "score", "caption", "classes"),
    [
        pytest.param("background", None, 1, 0.9, "dog, score 0.90, IoU 0.05", ("dog",), id="background"),
        pytest.param("missed", 2, None, None, "eel", ("eel",), id="missed"),
        pytest.param(
            "classification", 0, 1, 0.5, "dog, annotated as cat, score 0.50, IoU 0.05", ("dog", "cat"), id="wrong-class"
        ),
        pytest.param("duplicate", 0, 0, 0.5, "cat, score 0.50, IoU 0.05", ("cat",), id="duplicate"),
    ],
)
def test_captions(
    kind: str, truth: int | None, seen: int | None, score: float | None, caption: str, classes: tuple[str, ...]
) -> None:
    iou = None if score is None else 0.05
    shown = name_error(1, DetectionError(0, ErrorKind(kind), truth, seen, score, iou, None, None), NAMES)
    assert (shown.caption.replace("\N{NO-BREAK SPACE}", " "), shown.classes) == (caption, classes)


def test_a_figure_shows_objects_correct_detections_and_errors() -> None:
    truth = [(0, 0, 10, 10, 0), (20, 0, 40, 20, 1)]
    seen = [(0, 0, 10, 10, 0, 0.9), (60, 0, 70, 10, 2, 0.8), (80, 0, 90, 10, 2, 0.1)]
    gallery = make(make_split((truth, seen)), (0.0, 0.0, 0.5))
    (figure,) = gallery.figures
    drawn = [(box.role, box.rectangle, box.number) for box in figure.boxes]
    assert drawn == [
        (BoxRole.TRUTH, (0, 0, 10, 10), 0),
        (BoxRole.FOUND, (0, 0, 10, 10), 0),
        (BoxRole.WRONG, (60, 0, 10, 10), 1),
        (BoxRole.MISSED, (20, 0, 20, 20), 2),
    ]
    assert [box.title for box in figure.boxes] == [
        "annotated: cat",
        "detected: cat 0.90",
        "false positive: eel, score\N{NO-BREAK SPACE}0.80, IoU\N{NO-BREAK SPACE}0.00",
        "missed: dog",
    ]
    assert [(error.number, error.kind.value) for error in figure.errors] == [(1, "background"), (2, "missed")]
    assert gallery.classes == ("dog", "eel")
    assert [gallery.find(error) for error in figure.errors] == ["1", "0"]
    assert [text.title for text in gallery.kinds] == ["false positive", "missed"]


def test_what_does_not_fit_is_counted() -> None:
    split = make_split(*([([(0, 0, 9, 9, 0)] * 20, [])] * 27))
    gallery = make(split)
    assert (len(gallery.figures), gallery.images_left_out) == (24, 3)
    assert gallery.errors_total == 20 * 27
    assert {len(figure.errors) for figure in gallery.figures} == {MAX_ERRORS_PER_FIGURE}
    assert {figure.more for figure in gallery.figures} == {20 - MAX_ERRORS_PER_FIGURE}


@pytest.mark.parametrize(
    ("images", "figures"),
    [pytest.param(72, 24, id="demo"), pytest.param(160, 40, id="more"), pytest.param(999, 60, id="many")],
)
def test_a_small_data_set_has_a_small_gallery(images: int, figures: int) -> None:
    assert max_figures(images) == figures


def test_images_without_a_photo_are_left_out() -> None:
    split = make_split(*([([(0, 0, 9, 9, 0)], [])] * 3))
    ranked = rank_errors(find_errors(split.scored("shipped")))
    gallery = make_gallery(split, ranked, (0.0, 0.0, 0.0), choose_photos(split.images, [1], {}, 0))
    assert [figure.photo.name for figure in gallery.figures] == ["1.jpg"]
    assert gallery.images_left_out == 2


def test_a_perfect_model_has_no_gallery() -> None:
    gallery = make(make_split(([(0, 0, 9, 9, 0)], [(0, 0, 9, 9, 0, 0.9)])))
    assert (gallery.figures, gallery.errors_total, gallery.kinds) == ((), 0, ())


def test_a_class_is_found_by_its_place() -> None:
    gallery = Gallery((), ("dog", "cat"), (), 0, 1)
    assert gallery.find(ShownError(1, ErrorKind.BOTH, "cat", "dog", 0.5, 0.2)) == "1 0"
