"""Boxes and names on images, looked at pixel by pixel."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image, ImageFont

from reefline.inference.detect.drawing import class_colour, draw_detections, find_font
from reefline.inference.detect.records import SeenObject
from reefline.structures.boxes import BoxXyxyPx

LABELS = ("cat", "dog")


def draw(*objects, size=(200, 160)):
    image = Image.new("RGB", size, (10, 20, 30))
    before = image.copy()
    picture = np.asarray(draw_detections(image, objects, LABELS))
    assert image == before
    return picture


def see(label="cat", box=(40, 60, 120, 130), score=0.9):
    return SeenObject(label, score, BoxXyxyPx(*box))


def test_box_has_its_classs_colour_on_all_sides():
    picture = draw(see("dog"))

    for x, y in ((40, 100), (119, 129), (80, 129), (119, 100), (80, 60)):
        assert tuple(picture[y, x]) == class_colour(1)
    assert tuple(picture[100, 80]) == (10, 20, 30)


def test_caption_stands_over_the_box():
    picture = draw(see())

    above = picture[40:59, 40:120].reshape(-1, 3)
    assert (above == class_colour(0)).all(axis=1).any()
    # The text is neither background nor caption.
    assert len(np.unique(above, axis=0)) > 2


def test_caption_at_the_top_stands_in_the_box():
    picture = draw(see(box=(0, 0, 200, 160)))

    assert (picture[2:14, 2:40] != (10, 20, 30)).any()


@pytest.mark.parametrize(
    "box",
    [
        pytest.param((0, 0, 200, 160), id="whole-image"),
        pytest.param((200, 160, 200, 160), id="no-size-at-the-corner"),
        pytest.param((195, 10, 200, 20), id="right-edge"),
        pytest.param((90, 80, 60, 70), id="inside-out"),
    ],
)
def test_any_box_is_drawn(box):
    assert (draw(see(box=box)) != (10, 20, 30)).any()


def test_right_and_bottom_edge_are_seen():
    picture = draw(see(box=(0, 0, 200, 160)))

    assert tuple(picture[100, 199]) == tuple(picture[159, 100]) == class_colour(0)


def test_best_score_is_on_top():
    worse, better = see("dog", score=0.4), see("cat", score=0.8)

    for objects in ((worse, better), (better, worse)):
        assert tuple(draw(*objects)[100, 40]) == class_colour(0)


def test_colours_of_many_classes_differ():
    colours = [class_colour(index) for index in range(20)]

    assert min(max(abs(a - b) for a, b in zip(*pair, strict=True)) for pair in itertools.combinations(colours, 2)) > 10


def test_font_has_the_characters_where_there_is_one():
    try:
        ImageFont.truetype("DejaVuSans.ttf", 12)
    except OSError:
        pytest.skip("DejaVuSans.ttf is not on this machine")
    assert find_font("кошка", 12).getname()[0] == "DejaVu Sans"


def test_unknown_script_is_drawn_with_what_there_is():
    assert find_font("\U00013000", 12).getmask("a").size > (0, 0)
    assert (draw(see(box=(40, 60, 120, 130)), see("dog")) != (10, 20, 30)).any()
