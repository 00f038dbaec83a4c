from __future__ import annotations

import numpy as np
import pytest
import supervision

from reefline.evaluation.confusion import confusion_over_thresholds, count_confusion
from tests.factories_evaluation import make_random_images, make_scored_image

NAMES = ["cat", "dog", "fox"]
BOX = (0, 0, 10, 10)
AWAY = (50, 50, 60, 60)


def count_with_supervision(images, min_score: float, iou: float) -> np.ndarray:
    matrix = supervision.ConfusionMatrix.from_detections(
        predictions=[
            supervision.Detections(
                xyxy=image.detections.boxes_xyxy_px,
                confidence=image.detections.scores,
                class_id=image.detections.class_indices,
            )
            for image in images
        ],
        targets=[
            supervision.Detections(xyxy=image.ground_truth.boxes_xyxy_px, class_id=image.ground_truth.class_indices)
            for image in images
        ],
        classes=NAMES,
        conf_threshold=min_score,
        iou_threshold=iou,
    )
    return matrix.matrix


@pytest.mark.parametrize("iou", [0.5, 0.75])
@pytest.mark.parametrize("min_score", [0.005, 0.305, 0.805])
@pytest.mark.parametrize("seed", range(3))
def test_matrix_is_that_of_supervision(seed, min_score, iou):
    images = make_random_images(seed, count=40)

    counts = count_confusion(images, 3, min_score, iou)

    np.testing.assert_array_equal(counts, count_with_supervision(images, min_score, iou))
    assert counts[:3, :3].sum() > 10 and counts[3].sum() > 5 and counts[:, 3].sum() > 5


@pytest.mark.parametrize(
    ("truth", "seen", "cells"),
    [
        pytest.param([(*BOX, 0)], [(*BOX, 0, 0.9)], {(0, 0): 1}, id="correct"),
        pytest.param([(*BOX, 0)], [(*BOX, 1, 0.9)], {(0, 1): 1}, id="other-class"),
        pytest.param([(*BOX, 0)], [], {(0, 2): 1}, id="missed"),
        pytest.param([], [(*BOX, 1, 0.9)], {(2, 1): 1}, id="background"),
        pytest.param([(*BOX, 0)], [(*BOX, 0, 0.4)], {(0, 2): 1}, id="low-score"),
        pytest.param([(*BOX, 0)], [(*BOX, 0, 0.5)], {(0, 0): 1}, id="exactly-the-score"),
        pytest.param([(*BOX, 0)], [(0, 0, 10, 5, 0, 0.9)], {(0, 2): 1, (2, 0): 1}, id="exactly-half"),
        pytest.param([(*BOX, 0)], [(*BOX, 1, 0.9), (0, 0, 10, 8, 0, 0.6)], {(0, 0): 1, (2, 1): 1}, id="class-first"),
        pytest.param([(*BOX, 0)], [(0, 0, 10, 8, 0, 0.9), (*BOX, 0, 0.6)], {(0, 0): 1, (2, 0): 1}, id="duplicate"),
    ],
)
def test_cells(truth, seen, cells):
    counts = count_confusion([make_scored_image(truth, seen)], 2, min_score=0.5)

    assert {(int(row), int(column)): int(counts[row, column]) for row, column in np.argwhere(counts)} == cells


def test_over_thresholds():
    images = make_random_images(3)

    thresholds, counts = confusion_over_thresholds(images, 3)

    assert thresholds == pytest.approx([0.05 * step for step in range(1, 20)])
    assert counts.shape == (19, 4, 4)
    for threshold, matrix in zip(thresholds, counts, strict=True):
        np.testing.assert_array_equal(matrix, count_confusion(images, 3, threshold))


def test_no_image():
    assert not confusion_over_thresholds([], 2).counts.any()
