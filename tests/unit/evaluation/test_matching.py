from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask

from reefline.evaluation.matching import compute_ious, match_images
from tests.factories_evaluation import make_scored_image

BOX = (0, 0, 10, 10)


def test_ious_are_those_of_pycocotools_bit_by_bit():
    random = np.random.default_rng(0)
    corners = random.uniform(0, 100, (60, 2))
    boxes = np.hstack([corners, corners + random.uniform(0, 80, (60, 2))])
    xywh = np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])

    expected = mask.iou(xywh[:40], xywh[40:], [0] * 20)

    assert (expected > 0).any() and (expected == 0).any()
    np.testing.assert_array_equal(compute_ious(boxes[:40], boxes[40:]), expected)


def test_boxes_without_an_area():
    point = np.array([[5.0, 5.0, 5.0, 5.0]])

    assert compute_ious(point, point).tolist() == [[0.0]]


@pytest.mark.parametrize(
    ("truth", "seen", "found"),
    [
        pytest.param([], [(*BOX, 0, 0.9)], [-1], id="nothing-to-find"),
        pytest.param([(*BOX, 0)], [], [], id="nothing-detected"),
        pytest.param([(*BOX, 0)], [(*BOX, 1, 0.9)], [-1], id="other-class"),
        pytest.param([(*BOX, 0)], [(*BOX, 0, 0.5), (0, 0, 10, 8, 0, 0.9)], [0, -1], id="best-score-first"),
        pytest.param([(*BOX, 0)], [(0, 0, 10, 5, 0, 0.9)], [0], id="exactly-half"),
        pytest.param([(*BOX, 0), (*BOX, 0)], [(*BOX, 0, 0.9), (*BOX, 0, 0.8)], [1, 0], id="last-of-equal-ious"),
        pytest.param([(0, 0, 10, 7, 0), (*BOX, 0)], [(*BOX, 0, 0.9), (*BOX, 0, 0.8)], [1, 0], id="next-best-is-free"),
        pytest.param([(*BOX, 0)], [(10, 10, 0, 20, 0, 0.9), (*BOX, 0, 0.8)], [0], id="negative-area-is-ignored"),
    ],
)
def test_matches(truth, seen, found):
    (match,) = match_images([make_scored_image(truth, seen)])

    assert match.found.tolist() == found


def test_only_the_100_best_of_each_class_count():
    seen = [(*BOX, 0, score / 200) for score in range(120)] + [(*BOX, 1, 0.001)]

    (match,) = match_images([make_scored_image([], seen)])

    assert match.rows.tolist() == [*range(119, 19, -1), 120]
