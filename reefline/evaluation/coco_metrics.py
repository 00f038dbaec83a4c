"""COCO's detection metrics: the only door to pycocotools.

The numbers are those of the OD API's own CocoDetectionEvaluator: area is the box's width x height in pixels, at most
100 detections per image count, and an object marked `difficult` counts like any other (only COCO's crowds are ignored
there, which VOC annotations do not have).
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Optional

from reefline.evaluation.scores import ClassMetrics, CocoMetrics

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    from reefline.structures.detections import ScoredImage


# The fields of CocoMetrics in the order in which pycocotools' `stats` lists them.
_STATS = (
    "map",
    "map_50",
    "map_75",
    "map_small",
    "map_medium",
    "map_large",
    "ar_1",
    "ar_10",
    "ar_100",
    "ar_small",
    "ar_medium",
    "ar_large",
)


def compute_metrics(images: Iterable[ScoredImage], class_names: Sequence[str]) -> CocoMetrics:
    """Return the COCO metrics of a model over the given images.

    `class_names` are the label map's names in the order of their ids; every class index of the images is below their
    number. No images, no ground truth and no detections are all valid; a number without ground truth is None.

    Raises:
        ValueError: a class index is outside `class_names`.

    Source of the formula: pycocotools' COCOeval, unchanged, with its default IoU thresholds, areas and detection caps.
    """
    scored = tuple(images)
    _check_class_indices(scored, len(class_names))
    # pycocotools prints at every step and has no switch to turn that off.
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = _evaluate(_ground_truth_coco(scored, len(class_names)), _detections_coco(scored, len(class_names)))
    headline = {name: _known(value) for name, value in zip(_STATS, evaluation.stats, strict=True)}
    per_class = {label: _class_metrics(evaluation, scored, index) for index, label in enumerate(class_names)}
    return CocoMetrics(per_class=per_class, **headline)


def _check_class_indices(images: Sequence[ScoredImage], class_count: int) -> None:
    for image in images:
        for kind, indices in (
            ("ground truth", image.ground_truth.class_indices),
            ("detection", image.detections.class_indices),
        ):
            if indices.size and not 0 <= indices.min() <= indices.max() < class_count:
                raise ValueError(
                    f"{kind}: class indices {indices.min()} to {indices.max()} found, 0 to {class_count - 1} expected"
                )


def _evaluate(ground_truth: COCO, detections: COCO) -> COCOeval:
    from pycocotools.cocoeval import COCOeval

    evaluation = COCOeval(ground_truth, detections, iouType="bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation


def _ground_truth_coco(images: Sequence[ScoredImage], class_count: int) -> COCO:
    annotations = [
        {"image_id": image_id, "category_id": int(index), "bbox": bbox, "iscrowd": 0}
        for image_id, image in enumerate(images)
        for bbox, index in zip(_xywh(image.ground_truth.boxes_xyxy_px), image.ground_truth.class_indices, strict=True)
    ]
    return _index(annotations, len(images), class_count)


def _detections_coco(images: Sequence[ScoredImage], class_count: int) -> COCO:
    # Not COCO.loadRes: it fails on an empty list, and a model may detect nothing.
    annotations = [
        {"image_id": image_id, "category_id": int(index), "bbox": bbox, "iscrowd": 0, "score": float(score)}
        for image_id, image in enumerate(images)
        for bbox, index, score in zip(
            _xywh(image.detections.boxes_xyxy_px),
            image.detections.class_indices,
            image.detections.scores,
            strict=True,
        )
    ]
    return _index(annotations, len(images), class_count)


def _index(annotations: Sequence[dict[str, Any]], image_count: int, class_count: int) -> COCO:
    from pycocotools.coco import COCO

    coco = COCO()
    coco.dataset = {
        "images": [{"id": image_id} for image_id in range(image_count)],
        "categories": [{"id": index} for index in range(class_count)],
        # Ids start at 1: COCOeval reads a match with id 0 as "not matched".
        "annotations": [
            {**annotation, "id": number, "area": annotation["bbox"][2] * annotation["bbox"][3]}
            for number, annotation in enumerate(annotations, start=1)
        ],
    }
    coco.createIndex()
    return coco


def _xywh(boxes_xyxy_px: npt.NDArray[np.float64]) -> list[list[float]]:
    return [[x_min, y_min, x_max - x_min, y_max - y_min] for x_min, y_min, x_max, y_max in boxes_xyxy_px.tolist()]


def _class_metrics(evaluation: COCOeval, images: Sequence[ScoredImage], index: int) -> ClassMetrics:
    # precision has the axes IoU threshold, recall, class, area, detections; area 0 is "all", the last cap is 100.
    precision = evaluation.eval["precision"][:, :, index, 0, -1]
    return ClassMetrics(
        ap=_mean_known(precision),
        ap_50=_mean_known(precision[0]),
        groundtruth=sum(int((image.ground_truth.class_indices == index).sum()) for image in images),
    )


def _mean_known(precision: npt.NDArray[np.float64]) -> Optional[float]:
    known = precision[precision > -1]
    return float(known.mean()) if known.size else None


def _known(value: float) -> Optional[float]:
    return None if value == -1 else float(value)
