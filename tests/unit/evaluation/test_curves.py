from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from reefline.evaluation.coco_files import write_coco_ground_truth, write_coco_results
from reefline.evaluation.curves import compute_curves, suggest_thresholds
from tests.factories_evaluation import make_random_images, make_scored_image, make_split_detections

NAMES = ("cat", "dog", "fox")
BOX = (0, 0, 10, 10)
AWAY = (50, 50, 60, 60)


def precision_of_pycocotools(images, directory) -> np.ndarray:
    """Return COCOeval's precision at IoU 0.5 as [recall points, classes]."""
    detections = make_split_detections(images, NAMES)
    write_coco_ground_truth(detections, directory / "truth.json")
    write_coco_results(detections, "shipped", directory / "results.json")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(directory / "truth.json")
        evaluation = COCOeval(truth, truth.loadRes(str(directory / "results.json")), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"][0, :, :, 0, -1]


@pytest.mark.parametrize("seed", range(5))
def test_precision_is_that_of_pycocotools(tmp_path, seed):
    images = make_random_images(seed, count=40)

    curves = compute_curves(images, NAMES)

    expected = precision_of_pycocotools(images, tmp_path)
    assert 0.1 < expected.mean() < 0.9
    for index, curve in enumerate(curves):
        np.testing.assert_allclose(curve.precision_at_recall, expected[:, index], atol=1e-9)
        np.testing.assert_array_equal(curve.recall_points, np.linspace(0, 1, 101))


def test_more_detections_than_coco_counts(tmp_path):
    random = np.random.default_rng(0)
    seen = [(x, 0, x + 10, 10, 0, random.random()) for x in range(0, 1500, 10)]
    images = [make_scored_image([(x, 0, x + 10, 10, 0) for x in range(0, 1500, 20)], seen)]

    curve = compute_curves(images, NAMES)[0]

    np.testing.assert_allclose(curve.precision_at_recall, precision_of_pycocotools(images, tmp_path)[:, 0], atol=1e-9)
    assert len(curve.confidences) == 100


def test_curves_against_confidence():
    """Of three objects, 0.9 finds one, 0.6 is wrong, 0.5 finds another; the last stays missed."""
    images = [
        make_scored_image([(*BOX, 0), (*AWAY, 0)], [(*BOX, 0, 0.9), (*AWAY, 0, 0.5)]),
        make_scored_image([(*BOX, 0)], [(*AWAY, 0, 0.6)]),
    ]

    curve = compute_curves(images, ("cat",))[0]

    assert curve.confidences.tolist() == [0.5, 0.6, 0.9]
    np.testing.assert_allclose(curve.precision, [2 / 3, 1 / 2, 1])
    np.testing.assert_allclose(curve.recall, [2 / 3, 1 / 3, 1 / 3])
    np.testing.assert_allclose(curve.f1, [2 / 3, 2 / 5, 1 / 2])
    assert (curve.best_confidence, curve.best_f1) == (0.5, pytest.approx(2 / 3))


def test_f1_by_counting_at_each_threshold():
    images = make_random_images(7, count=5)

    for index, curve in enumerate(compute_curves(images, NAMES)):
        for confidence, precision, recall, f1 in zip(
            curve.confidences, curve.precision, curve.recall, curve.f1, strict=True
        ):
            assert (precision, recall) == pytest.approx(count_slowly(images, index, confidence))
            assert f1 == pytest.approx(2 * precision * recall / (precision + recall) if recall else 0)
        assert curve.best_f1 == curve.f1.max()


def count_slowly(images, index: int, confidence: float) -> tuple[float, float]:
    correct = seen = total = 0
    for image in images:
        objects = list(image.ground_truth.boxes_xyxy_px[image.ground_truth.class_indices == index])
        total += len(objects)
        rows = zip(image.detections.boxes_xyxy_px, image.detections.class_indices, image.detections.scores, strict=True)
        for box, _, _ in sorted((row for row in rows if row[1] == index and row[2] >= confidence), key=lambda r: -r[2]):
            seen += 1
            best = max(range(len(objects)), key=lambda number: (iou(box, objects[number]), number), default=None)
            if best is not None and iou(box, objects[best]) >= 0.5:
                correct += 1
                del objects[best]
    return correct / seen, correct / total


def iou(one, other) -> float:
    width, height = (min(one[i + 2], other[i + 2]) - max(one[i], other[i]) for i in (0, 1))
    shared = max(0.0, width) * max(0.0, height)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


def test_equal_scores_count_together():
    images = [make_scored_image([(*BOX, 0)], [(*AWAY, 0, 0.5), (*BOX, 0, 0.5), (*AWAY, 0, 0.5)])]

    curve = compute_curves(images, ("cat",))[0]

    assert curve.confidences.tolist() == [0.5]
    assert (curve.precision.tolist(), curve.recall.tolist()) == ([1 / 3], [1.0])


def test_highest_confidence_of_equal_f1():
    """F1 is 2/3 from 0.9 on as well as from 0.5 on: fewer wrong detections are better."""
    seen = [(*BOX, 0, 0.9), (100, 0, 110, 10, 0, 0.8), (200, 0, 210, 10, 0, 0.7), (*AWAY, 0, 0.5)]

    curve = compute_curves([make_scored_image([(*BOX, 0), (*AWAY, 0)], seen)], ("cat",))[0]

    assert curve.f1.tolist() == pytest.approx([2 / 3, 2 / 5, 1 / 2, 2 / 3])
    assert curve.best_confidence == 0.9


@pytest.mark.parametrize(
    ("images", "best_f1"),
    [
        pytest.param([], None, id="no-image"),
        pytest.param([make_scored_image()], None, id="empty-image"),
        pytest.param([make_scored_image([], [(*BOX, 0, 0.9)])], None, id="no-ground-truth"),
        pytest.param([make_scored_image([(*BOX, 0)], [])], 0.0, id="no-detection"),
        pytest.param([make_scored_image([(*BOX, 0)], [(*AWAY, 0, 0.9)])], 0.0, id="all-wrong"),
    ],
)
def test_no_threshold_to_suggest(images, best_f1):
    curves = compute_curves(images, ("cat",))

    assert (curves[0].best_confidence, curves[0].best_f1) == (None, best_f1)
    assert curves[0].precision_at_recall.tolist() == ([] if best_f1 is None else [0.0] * 101)
    assert suggest_thresholds(curves) == {"cat": None}


def test_suggested_thresholds():
    images = [make_scored_image([(*BOX, 1)], [(*BOX, 1, 0.7)])]

    assert suggest_thresholds(compute_curves(images, NAMES)) == {"cat": None, "dog": 0.7, "fox": None}
