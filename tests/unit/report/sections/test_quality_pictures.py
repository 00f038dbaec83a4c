"""Which thumbnails are embedded, and what is drawn over them."""

from __future__ import annotations

from reefline.evaluation.error_kinds import find_errors
from reefline.report.sections.quality_pictures import (
    MAX_FOUND,
    BoxRole,
    DrawnBox,
    choose_photos,
    draw_found,
    draw_truth,
)
from reefline.structures.boxes import BoxXyxyPx
from reefline.structures.split_detections import SplitImage
from tests.factories_evaluation import make_detections, make_scored_image

IMAGES = tuple(SplitImage(f"{number}.jpg", 64, 48) for number in range(4))
# 100 bytes of JPEG are 136 in base64, after 23 that name the type.
THUMBNAILS = {image.name: b"\xff" * 100 for image in IMAGES}
URI_BYTES = 159


def test_a_photo_is_embedded_once() -> None:
    photos = choose_photos(IMAGES, [2, 0, 2, 0], THUMBNAILS, 10_000)
    assert [(index, photo.id, photo.name) for index, photo in photos.items()] == [
        (2, "photo-2", "2.jpg"),
        (0, "photo-0", "0.jpg"),
    ]
    assert {len(photo.uri) for photo in photos.values()} == {URI_BYTES}


def test_photos_end_where_the_page_would_grow_too_large() -> None:
    assert list(choose_photos(IMAGES, [3, 1, 0], THUMBNAILS, 2 * URI_BYTES)) == [3, 1]
    assert list(choose_photos(IMAGES, [3, 1, 0], THUMBNAILS, 2 * URI_BYTES - 1)) == [3]


def test_without_a_thumbnail_the_boxes_remain() -> None:
    assert choose_photos(IMAGES, [1], {}, 0)[1].uri == ""


def test_a_name_that_is_not_unicode_can_be_written() -> None:
    image = SplitImage(b"caf\xe9.jpg".decode("utf-8", "surrogateescape"), 64, 48)
    assert choose_photos([image], [0], {}, 0)[0].name == "caf?.jpg"


def test_boxes_are_drawn_in_whole_pixels_and_never_vanish() -> None:
    assert DrawnBox(BoxXyxyPx(1.4, 2.6, 1.5, 12.4), BoxRole.TRUTH, "").rectangle == (1, 3, 1, 10)


def test_a_missed_object_is_drawn_as_an_error_only() -> None:
    image = make_scored_image([(0, 0, 10, 10, 0), (20, 0, 30, 10, 1)], [(0, 0, 10, 10, 0, 0.9)])
    drawn = draw_truth(image.ground_truth, find_errors([image]), ("cat", "dog"))
    assert [box.title for box in drawn] == ["annotated: cat"]


def test_the_best_correct_detections_are_drawn() -> None:
    rows = [(number, 0, number + 5, 5, 0, 0.5 + number / 1000) for number in range(MAX_FOUND + 2)]
    drawn = draw_found(make_detections(*rows), (), (0.501,), ("cat",))
    assert len(drawn) == MAX_FOUND
    assert (drawn[0].title, drawn[0].role) == (f"detected: cat {0.5 + (MAX_FOUND + 1) / 1000:.2f}", BoxRole.FOUND)
    assert [box.rectangle[0] for box in drawn] == list(range(MAX_FOUND + 1, 1, -1))
