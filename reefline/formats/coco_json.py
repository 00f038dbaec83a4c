"""COCO's annotation file (https://cocodataset.org/#format-data, "Object Detection"): boxes only, masks are left out.

A box is [x, y, width, height] in pixels from 0. What COCO has no field for is kept in `attributes`, where CVAT's
exports keep it, too.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from reefline.errors import DataError
from reefline.formats.json_input import as_number, as_records, as_size, as_text, parse_json
from reefline.structures.annotation import AnnotatedObject, Annotation
from reefline.structures.boxes import BoxXyxyPx
from reefline.structures.labelled_set import LabelledImage, LabelledSet

_LISTS = ("images", "annotations", "categories")


def is_coco(value: Any) -> bool:
    """Return whether a JSON value looks like COCO's annotation file."""
    return isinstance(value, dict) and all(isinstance(value.get(name), list) for name in _LISTS)


def parse_coco(content: bytes, source: str, *, split: str = "") -> LabelledSet:
    """Read an annotation file; all its images get `split`. Classes come in the order of their ids.

    Raises:
        DataError: it is not JSON, or not COCO's.
    """
    value = parse_json(content, source)
    if not is_coco(value):
        raise DataError(f"{source}: not a COCO annotation file: expected the lists {', '.join(_LISTS)}")
    names = _read_categories(value)
    problems: list[str] = []
    objects = _read_objects(value, names, source, problems)
    images = tuple(
        LabelledImage(
            Annotation(
                filename=as_text(image.get("file_name")),
                width_px=as_size(image.get("width")),
                height_px=as_size(image.get("height")),
                objects=tuple(objects.pop(_key(image.get("id")), ())),
            ),
            split,
        )
        for image in as_records(value["images"])
    )
    if objects:
        count = sum(map(len, objects.values()))
        problems.append(f"{source}: {count} boxes have an image_id that no image has; they are left out")
    return LabelledSet(tuple(names.values()), images, tuple(problems))


def format_coco(images: Sequence[Annotation], names: Sequence[str]) -> bytes:
    """Return an annotation file with ids from 1 in the given orders; `parse_coco` reads it back.

    Boxes of classes that are not among `names` are an error (KeyError). The images need their sizes.
    """
    ids = {name: number for number, name in enumerate(names, start=1)}
    annotations: list[dict[str, Any]] = []
    for image_id, image in enumerate(images, start=1):
        for item in image.objects:
            annotations.append(_format_object(item, len(annotations) + 1, image_id, ids[item.label]))
    content = {
        "images": [
            {"id": number, "file_name": image.filename, "width": image.width_px or 0, "height": image.height_px or 0}
            for number, image in enumerate(images, start=1)
        ],
        "annotations": annotations,
        "categories": [{"id": number, "name": name, "supercategory": ""} for name, number in ids.items()],
    }
    return f"{json.dumps(content, ensure_ascii=False)}\n".encode()


def _read_categories(value: dict[str, Any]) -> dict[str, str]:
    categories = [item for item in as_records(value["categories"]) if as_text(item.get("name"))]
    categories.sort(key=lambda item: as_number(item.get("id")))
    # Roboflow adds a category without boxes, which groups the others.
    used = {_key(item.get("category_id")) for item in as_records(value["annotations"])}
    groups = {as_text(item.get("supercategory")) for item in categories} - {""}
    categories = [item for item in categories if _key(item.get("id")) in used or as_text(item["name"]) not in groups]
    return {_key(item.get("id")): as_text(item["name"]) for item in categories}


def _read_objects(
    value: dict[str, Any], names: dict[str, str], source: str, problems: list[str]
) -> dict[str, list[AnnotatedObject]]:
    objects: dict[str, list[AnnotatedObject]] = defaultdict(list)
    masks = crowds = 0
    for number, item in enumerate(as_records(value["annotations"])):
        box = _read_box(item.get("bbox"))
        label = names.get(_key(item.get("category_id")))
        if box is None or label is None:
            what = (
                "has no bbox of four numbers" if box is None else f"category_id {item.get('category_id')!r} is unknown"
            )
            problems.append(f"{source}: annotations[{number}]: {what}; it is left out")
            continue
        masks += bool(item.get("segmentation"))
        crowds += item.get("iscrowd") == 1
        objects[_key(item.get("image_id"))].append(_read_object(item, label, box))
    if crowds:
        problems.append(f"{source}: {crowds} boxes of crowds are marked difficult")
    if masks:
        problems.append(f"{source}: {masks} segmentation masks are left out: only boxes are converted")
    return objects


def _read_object(item: dict[str, Any], label: str, box: BoxXyxyPx) -> AnnotatedObject:
    found = item.get("attributes")
    attributes = found if isinstance(found, dict) else {}
    score = as_number(item.get("score"))
    return AnnotatedObject(
        label=label,
        box_xyxy_px=box,
        # A crowd is what evaluation ignores, as it ignores VOC's difficult objects.
        difficult=bool(attributes.get("difficult")) or item.get("iscrowd") == 1,
        truncated=bool(attributes.get("truncated")),
        pose=as_text(attributes.get("pose")) or "Unspecified",
        score=score if 0 <= score <= 1 else None,
    )


def _read_box(value: Any) -> BoxXyxyPx | None:
    if not isinstance(value, list) or len(value) != 4:
        return None
    x, y, width, height = map(as_number, value)
    box = BoxXyxyPx(x, y, x + width, y + height)
    return box if box.is_finite else None


def _format_object(item: AnnotatedObject, number: int, image_id: int, category_id: int) -> dict[str, Any]:
    box = item.box_xyxy_px
    record: dict[str, Any] = {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [box.x_min, box.y_min, box.width_px, box.height_px],
        "area": box.width_px * box.height_px,
        "iscrowd": 0,
        "attributes": {"difficult": item.difficult, "truncated": item.truncated, "pose": item.pose},
    }
    return record if item.score is None else {**record, "score": item.score}


def _key(value: Any) -> str:
    """Return an id as text: some tools write numbers, others strings."""
    return as_text(value)
