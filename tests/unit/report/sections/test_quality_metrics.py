"""The numbers of the quality section."""

from __future__ import annotations

import pytest

from reefline.evaluation.curves import compute_curves
from reefline.evaluation.scores import ClassMetrics
from reefline.report.sections.quality_metrics import Compared, compare_metrics, list_classes
from tests.factories_evaluation import make_metrics, make_scored_image, make_scores


def test_every_coco_number_of_every_model_with_its_differences() -> None:
    scores = make_scores(
        make_metrics(0.5, map_small=None, ar_10=0.75),
        float_model=make_metrics(0.625),
        baseline=make_metrics(0.25),
        baseline_version=2,
    )
    rows = {row.name: row.values for row in compare_metrics(scores)}
    assert list(rows) == [
        *("mAP", "mAP_50", "mAP_75", "mAP_small", "mAP_medium", "mAP_large"),
        *("AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large"),
    ]
    assert rows["mAP"] == Compared(0.625, 0.5, 0.25)
    assert (rows["mAP"].quantization, rows["mAP"].change) == (-0.125, 0.25)
    assert rows["AR_10"].shipped == 0.75
    assert (rows["mAP_small"].quantization, rows["mAP_small"].change) == (None, None)


def test_a_first_run_has_no_change() -> None:
    assert compare_metrics(make_scores())[0].values == Compared(0.5, 0.5, None)
    assert compare_metrics(make_scores())[0].values.change is None


def test_a_class_has_the_numbers_at_its_suggested_threshold() -> None:
    images = [
        make_scored_image([(0, 0, 10, 10, 0), (20, 0, 30, 10, 0)], [(0, 0, 10, 10, 0, 0.9), (50, 50, 60, 60, 0, 0.4)])
    ]
    per_class = {"cat": ClassMetrics(0.5, 0.75, 2), "dog": ClassMetrics(None, None, 0)}
    baseline = make_metrics(per_class={"cat": ClassMetrics(0.25, 0.5, 2)})
    scores = make_scores(make_metrics(per_class=per_class), baseline=baseline, baseline_version=1)
    cat, dog = list_classes(scores, compute_curves(images, ("cat", "dog")))
    assert (cat.label, cat.objects, cat.ap, cat.ap_50) == ("cat", 2, Compared(0.5, 0.5, 0.25), 0.75)
    assert (cat.confidence, cat.precision, cat.recall) == (0.9, 1.0, 0.5)
    assert cat.f1 == pytest.approx(2 / 3)
    assert (dog.objects, dog.ap.shipped, dog.ap.baseline, dog.confidence, dog.f1) == (0, None, None, None, None)


def test_classes_without_curves_have_no_threshold() -> None:
    assert [row.confidence for row in list_classes(make_scores(), ())] == [None, None]
