"""COCO's JSON files of a split, for other programs: the objects, and what a model detected.

Source of the format: cocodataset.org, "Data format" and "Results format". Image ids are 1 for the first image and so
on, category ids those of the label map (1 for the first class), boxes x, y, width, height in pixels.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reefline.system.files import write_whole

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from reefline.structures.split_detections import SplitDetections


def write_coco_ground_truth(detections: SplitDetections, path: Path) -> None:
    """Write the images, categories and annotated objects: what `COCO(path)` of pycocotools reads."""
    boxes = [
        (image_id, class_index, bbox)
        for image_id, truth in enumerate(detections.ground_truth, start=1)
        for class_index, bbox in zip(truth.class_indices.tolist(), _xywh(truth.boxes_xyxy_px), strict=True)
    ]
    record = {
        "images": [
            {"id": image_id, "file_name": image.name, "width": image.width_px, "height": image.height_px}
            for image_id, image in enumerate(detections.images, start=1)
        ],
        "categories": [{"id": index, "name": name} for index, name in enumerate(detections.class_names, start=1)],
        "annotations": [
            {
                "id": number,
                "image_id": image_id,
                "category_id": class_index + 1,
                "bbox": bbox,
                "area": bbox[2] * bbox[3],
                "iscrowd": 0,
            }
            for number, (image_id, class_index, bbox) in enumerate(boxes, start=1)
        ],
    }
    _write(path, record)


def write_coco_results(detections: SplitDetections, model: str, path: Path) -> None:
    """Write what a model detected: what `COCO.loadRes(path)` of pycocotools reads, unless the list is empty.

    Raises:
        KeyError: the split was not scored with that model.
    """
    results = [
        {"image_id": image_id, "category_id": class_index + 1, "bbox": bbox, "score": score}
        for image_id, seen in enumerate(detections.detections[model], start=1)
        for class_index, bbox, score in zip(
            seen.class_indices.tolist(), _xywh(seen.boxes_xyxy_px), seen.scores.tolist(), strict=True
        )
    ]
    _write(path, results)


def _xywh(boxes_xyxy_px: npt.NDArray[np.float64]) -> list[list[float]]:
    return [[x_min, y_min, x_max - x_min, y_max - y_min] for x_min, y_min, x_max, y_max in boxes_xyxy_px.tolist()]


def _write(path: Path, record: Any) -> None:
    write_whole(path, json.dumps(record, allow_nan=False) + "\n")
