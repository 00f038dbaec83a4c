"""COCO's detection metrics: the only door to pycocotools.

The numbers are those of the OD API's own CocoDetectionEvaluator: area is the box's width x height in pixels, at most
100 detections an image count, and an object marked `difficult` counts like any other (only COCO's crowds are ignored
there, which VOC annotations do not have).
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    from reefline.structures.detections import ScoredImage


@dataclass(frozen=True)
class ClassMetrics:
    """One class's average precision (0..1, None without ground truth) and its number of annotated objects."""

    ap: Optional[float]
    ap_50: Optional[float]
    groundtruth: int


# How the fields are called in summary.json, in the order in which pycocotools' `stats` lists them.
_JSON_NAMES = {
    "map": "mAP",
    "map_50": "mAP_50",
    "map_75": "mAP_75",
    "map_small": "mAP_small",
    "map_medium": "mAP_medium",
    "map_large": "mAP_large",
    "ar_1": "AR_1",
    "ar_10": "AR_10",
    "ar_100": "AR_100",
    "ar_small": "AR_small",
    "ar_medium": "AR_medium",
    "ar_large": "AR_large",
}


@dataclass(frozen=True)
class CocoMetrics:
    """M of summary.json: fractions 0..1 as pycocotools computes them, None where there is no ground truth.

    `map` averages over IoU 0.50:0.05:0.95. Small is an area below 32² pixels, large one from 96² pixels.
    `per_class` holds a pair of name and metrics for every class, in the order of the label map.
    """

    map: Optional[float]
    map_50: Optional[float]
    map_75: Optional[float]
    map_small: Optional[float]
    map_medium: Optional[float]
    map_large: Optional[float]
    ar_1: Optional[float]
    ar_10: Optional[float]
    ar_100: Optional[float]
    ar_small: Optional[float]
    ar_medium: Optional[float]
    ar_large: Optional[float]
    per_class: tuple[tuple[str, ClassMetrics], ...]

    def to_json(self) -> dict[str, Any]:
        """Return M as summary.json shows it."""
        record: dict[str, Any] = {json_name: getattr(self, name) for name, json_name in _JSON_NAMES.items()}
        record["per_class"] = {
            label: {"ap": metrics.ap, "ap_50": metrics.ap_50, "groundtruth": metrics.groundtruth}
            for label, metrics in self.per_class
        }
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> CocoMetrics:
        """Read back what `to_json` wrote."""
        per_class = tuple((label, ClassMetrics(**metrics)) for label, metrics in record["per_class"].items())
        return cls(per_class=per_class, **{name: record[json_name] for name, json_name in _JSON_NAMES.items()})


def compute_metrics(images: Iterable[ScoredImage], class_names: Sequence[str]) -> CocoMetrics:
    """Return the COCO metrics of a model over the given images.

    `class_names` are the label map's names in the order of their ids; every class index of the images lies below their
    number. No image, no ground truth and no detection are all valid; what has no ground truth is None.

    Raises:
        ValueError: a class index lies outside `class_names`.

    Source of the formula: pycocotools' COCOeval, unchanged, with its default IoU thresholds, areas and detection caps.
    """
    scored = tuple(images)
    _check_class_indices(scored, len(class_names))
    # pycocotools prints at every step and has no switch for it.
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = _evaluate(_ground_truth_coco(scored, len(class_names)), _detections_coco(scored, len(class_names)))
    headline = {name: _known(value) for name, value in zip(_JSON_NAMES, evaluation.stats, strict=True)}
    per_class = tuple((label, _class_metrics(evaluation, scored, index)) for index, label in enumerate(class_names))
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
    # COCO.loadRes is not used: it cannot take an empty list, and a model may well see nothing.
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
