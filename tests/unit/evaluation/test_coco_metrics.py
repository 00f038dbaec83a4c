from __future__ import annotations

import numpy as np
import pytest

from reefline.evaluation.coco_metrics import compute_metrics
from reefline.evaluation.scores import ClassMetrics, CocoMetrics
from reefline.structures.boxes import BoxXyxyPx
from reefline.structures.detections import GroundTruth
from tests.factories_evaluation import make_metrics, make_scored_image

NAMES = ("cat", "dog")
BOX = (10.0, 20.0, 60.0, 70.0)


def test_perfect_detections():
    image = make_scored_image([(*BOX, 0), (80, 80, 90, 95, 1)], [(*BOX, 0, 0.9), (80, 80, 90, 95, 1, 0.8)])

    metrics = compute_metrics([image], NAMES)

    assert metrics.map == pytest.approx(1.0)
    assert metrics.map_small == pytest.approx(1.0)
    assert metrics.map_medium == pytest.approx(1.0)
    assert metrics.map_large is None
    assert list(metrics.per_class.items()) == [
        ("cat", ClassMetrics(pytest.approx(1.0), pytest.approx(1.0), 1)),
        ("dog", ClassMetrics(pytest.approx(1.0), pytest.approx(1.0), 1)),
    ]


def test_iou_thresholds():
    # 50 x 50 against 50 x 40 inside it: an IoU of 0.8 passes 0.50 to 0.80, 7 of the 10 thresholds.
    image = make_scored_image([(0, 0, 50, 50, 0)], [(0, 0, 50, 40.001, 0, 0.9)])

    metrics = compute_metrics([image], NAMES)

    assert metrics.map == pytest.approx(0.7)
    assert (metrics.map_50, metrics.map_75) == (pytest.approx(1.0), pytest.approx(1.0))
    assert metrics.per_class["cat"].ap == pytest.approx(0.7)
    assert metrics.per_class["cat"].ap_50 == pytest.approx(1.0)


def test_wrong_class_is_a_miss():
    metrics = compute_metrics([make_scored_image([(*BOX, 0)], [(*BOX, 1, 0.9)])], NAMES)

    assert metrics.map == 0.0
    assert metrics.ar_100 == 0.0


def test_class_without_ground_truth_is_none_and_does_not_lower_the_mean():
    metrics = compute_metrics([make_scored_image([(*BOX, 0)], [(*BOX, 0, 0.9)])], NAMES)

    assert metrics.map == pytest.approx(1.0)
    assert metrics.per_class["dog"] == ClassMetrics(None, None, 0)


@pytest.mark.parametrize(
    "images",
    [
        pytest.param([], id="no-image"),
        pytest.param([make_scored_image()], id="empty-image"),
        pytest.param([make_scored_image(detections=[(*BOX, 0, 0.9)])], id="detections-only"),
    ],
)
def test_no_ground_truth_at_all(images):
    metrics = compute_metrics(images, NAMES)

    assert metrics.to_json() == {
        **dict.fromkeys(("mAP", "mAP_50", "mAP_75", "mAP_small", "mAP_medium", "mAP_large")),
        **dict.fromkeys(("AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large")),
        "per_class": {name: {"ap": None, "ap_50": None, "groundtruth": 0} for name in NAMES},
    }


def test_no_detections():
    metrics = compute_metrics([make_scored_image([(*BOX, 0)])], NAMES)

    assert metrics.map == 0.0
    assert metrics.per_class["cat"] == ClassMetrics(0.0, 0.0, 1)


def test_first_annotation_matches():
    # pycocotools takes an annotation whose id is 0 for "no match".
    metrics = compute_metrics([make_scored_image([(*BOX, 0)], [(*BOX, 0, 0.9)])], NAMES)

    assert metrics.map_50 == pytest.approx(1.0)


@pytest.mark.parametrize("index", [-1, 2])
def test_class_index_outside_the_label_map(index):
    with pytest.raises(ValueError, match="0 to 1 expected"):
        compute_metrics([make_scored_image([(*BOX, index)])], NAMES)


def test_quiet(capsys):
    compute_metrics([make_scored_image([(*BOX, 0)], [(*BOX, 0, 0.9)])], NAMES)

    assert capsys.readouterr() == ("", "")


def test_same_numbers_as_the_od_apis_evaluator():
    from reefline.od_api import compat

    compat.apply()
    from object_detection.metrics.coco_evaluation import CocoDetectionEvaluator

    images = [_random_image(seed) for seed in range(6)]
    evaluator = CocoDetectionEvaluator([{"id": i + 1, "name": name} for i, name in enumerate(NAMES)])
    for number, image in enumerate(images):
        truth, seen = image.ground_truth, image.detections
        evaluator.add_single_ground_truth_image_info(
            str(number),
            {
                "groundtruth_boxes": truth.boxes_xyxy_px[:, [1, 0, 3, 2]],
                "groundtruth_classes": truth.class_indices + 1,
            },
        )
        evaluator.add_single_detected_image_info(
            str(number),
            {
                "detection_boxes": seen.boxes_xyxy_px[:, [1, 0, 3, 2]],
                "detection_scores": seen.scores,
                "detection_classes": seen.class_indices + 1,
            },
        )
    theirs = evaluator.evaluate()

    ours = compute_metrics(images, NAMES)

    assert 0.1 < ours.map < 0.9
    for field, name in (
        ("map", "Precision/mAP"),
        ("map_50", "Precision/mAP@.50IOU"),
        ("map_75", "Precision/mAP@.75IOU"),
        ("map_small", "Precision/mAP (small)"),
        ("map_medium", "Precision/mAP (medium)"),
        ("ar_1", "Recall/AR@1"),
        ("ar_10", "Recall/AR@10"),
        ("ar_100", "Recall/AR@100"),
        ("ar_medium", "Recall/AR@100 (medium)"),
    ):
        assert getattr(ours, field) == pytest.approx(theirs[f"DetectionBoxes_{name}"]), name


def _random_image(seed):
    generator = np.random.default_rng(seed)
    corners = generator.uniform(0, 200, (8, 2))
    boxes = np.hstack([corners, corners + generator.uniform(8, 90, (8, 2))])
    classes = generator.integers(0, 2, 8)
    truth = [(*box, index) for box, index in zip(boxes, classes, strict=True)]
    seen = [
        (*(box + generator.normal(0, 3, 4)), index, generator.uniform())
        for box, index in zip(boxes, classes, strict=True)
    ]
    return make_scored_image(truth, seen)


def test_json_round_trip():
    metrics = make_metrics(0.25, map_large=None)

    assert CocoMetrics.from_json(metrics.to_json()) == metrics


def test_ground_truth_from_label_map_ids():
    truth = GroundTruth.from_boxes([BoxXyxyPx(1, 2, 3, 4)], [2])

    assert truth.boxes_xyxy_px.tolist() == [[1, 2, 3, 4]]
    assert truth.class_indices.tolist() == [1]
    assert GroundTruth.from_boxes([], []).boxes_xyxy_px.shape == (0, 4)
