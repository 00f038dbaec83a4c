from __future__ import annotations

import contextlib
import io
import json

import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from reefline.evaluation.coco_files import write_coco_ground_truth, write_coco_results
from reefline.evaluation.coco_metrics import compute_metrics
from tests.factories_evaluation import make_random_images, make_scored_image, make_split_detections


def test_pycocotools_gets_the_same_metrics_from_the_files(tmp_path):
    images = make_random_images(1)
    detections = make_split_detections(images, ("cat", "dog", "fox"))
    write_coco_ground_truth(detections, tmp_path / "truth.json")
    write_coco_results(detections, "shipped", tmp_path / "results.json")

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(tmp_path / "truth.json")
        evaluation = COCOeval(truth, truth.loadRes(str(tmp_path / "results.json")), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()

    metrics = compute_metrics(images, ("cat", "dog", "fox"))
    assert 0.1 < metrics.map < 0.9
    assert evaluation.stats[:2] == pytest.approx([metrics.map, metrics.map_50], abs=1e-12)


def test_files_follow_the_format(tmp_path):
    images = [make_scored_image(), make_scored_image([(10, 20, 40, 60, 1)], [(11, 22, 44, 66, 0, 0.5)])]
    detections = make_split_detections(images)
    write_coco_ground_truth(detections, tmp_path / "truth.json")
    write_coco_results(detections, "shipped", tmp_path / "results.json")

    assert json.loads((tmp_path / "truth.json").read_text()) == {
        "images": [
            {"id": 1, "file_name": "0.jpg", "width": 640, "height": 480},
            {"id": 2, "file_name": "1.jpg", "width": 640, "height": 480},
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": 1, "image_id": 2, "category_id": 2, "bbox": [10, 20, 30, 40], "area": 1200, "iscrowd": 0}
        ],
    }
    assert json.loads((tmp_path / "results.json").read_text()) == [
        {"image_id": 2, "category_id": 1, "bbox": [11, 22, 33, 44], "score": 0.5}
    ]
