"""Label Studio's exports, JSON and JSON-MIN, with rectangle labels (labelstud.io, "Export annotations").

A rectangle is x, y, width and height in percent of the image, rotated clockwise around its top left corner.
"""

from __future__ import annotations

import json
import math
import re
import urllib.parse
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from reefline.errors import DataError
from reefline.formats.json_input import as_number, as_records, as_size, as_text, parse_json
from reefline.structures.annotation import AnnotatedObject, Annotation
from reefline.structures.boxes import BoxXyxyPx
from reefline.structures.labelled_set import LabelledImage, LabelledSet

_LABELS = "rectanglelabels"
_LOCAL_FILES = "/data/local-files/?d="
# Uploads are stored as <8 hexadecimal digits>-<name>.
_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-(?=.)")
_IMAGE_KEYS = ("image", "img", "photo", "picture")


def is_label_studio(value: Any) -> bool:
    """Return whether a JSON value looks like an export: a list of tasks, each with an image."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(task, dict) for task in value)
        and bool(_find_image(value[0]))
    )


def parse_label_studio(content: bytes, source: str) -> LabelledSet:
    """Read an export; classes come in the order of their names, as the export has no other.

    Of several annotations of a task the last that was not cancelled counts; of none, the last prediction.

    Raises:
        DataError: it is not JSON, or not a list of tasks with images.
    """
    value = parse_json(content, source)
    if not is_label_studio(value):
        raise DataError(f"{source}: not a Label Studio export: expected a list of tasks with an image each (JSON)")
    problems: list[str] = []
    images = tuple(_read_task(task, f"{source}: task {number}", problems) for number, task in enumerate(value, start=1))
    names = sorted({item.label for image in images for item in image.annotation.objects})
    return LabelledSet(tuple(names), images, tuple(problems))


def format_label_studio(images: Sequence[LabelledImage], folder: str) -> bytes:
    """Return tasks to import, with the boxes as annotations; the images, with known sizes, lie in `folder`.

    `folder` is relative to Label Studio's document root for local files.
    """
    tasks = [
        {
            "data": {
                "image": f"{_LOCAL_FILES}{urllib.parse.quote(f'{folder}/{image.annotation.filename}')}",
                **({"split": image.split} if image.split else {}),
            },
            "annotations": [{"result": [_format_object(item, image.annotation) for item in image.annotation.objects]}],
        }
        for image in images
    ]
    return f"{json.dumps(tasks, ensure_ascii=False, indent=1)}\n".encode()


def format_label_config(names: Sequence[str]) -> str:
    """Return the labelling interface for the tasks of `format_label_studio`, with the classes in order."""
    labels = "".join(f"    <Label value={quoteattr(name)}/>\n" for name in names)
    return (
        "<View>\n"
        '  <Image name="image" value="$image"/>\n'
        f'  <RectangleLabels name="label" toName="image">\n{labels}  </RectangleLabels>\n'
        "</View>\n"
    )


def parse_label_config(text: str) -> tuple[str, ...]:
    """Return the classes of a labelling interface in its order."""
    from reefline.formats.voc import parse_xml_safely

    root = parse_xml_safely(text.encode())
    return tuple(filter(None, (element.get("value", "").strip() for element in root.iter("Label"))))


def image_name(address: str) -> str:
    """Return the path or name of an image from its address in an export, without the prefix of uploads."""
    parsed = urllib.parse.urlparse(address)
    local = urllib.parse.parse_qs(parsed.query).get("d")
    path = local[0] if local else urllib.parse.unquote(parsed.path)
    folder, slash, name = path.rpartition("/")
    is_upload = "/upload/" in path
    return _UPLOAD_PREFIX.sub("", name) if is_upload else f"{folder}{slash}{name}".lstrip("/")


def _find_image(task: dict[str, Any]) -> str:
    found = task.get("data")
    data = found if isinstance(found, dict) else task
    return next((as_text(data[key]) for key in _IMAGE_KEYS if as_text(data.get(key))), "")


def _read_task(task: dict[str, Any], source: str, problems: list[str]) -> LabelledImage:
    data = task.get("data")
    split = as_text(data.get("split")) if isinstance(data, dict) else ""
    results = _find_results(task)
    objects = []
    for result in results or ():
        item = _read_result(result)
        if isinstance(item, str):
            problems.append(f"{source}: {item}; it is left out")
        else:
            objects.append(item)
    sizes = next(iter(results or ()), {})
    annotation = Annotation(
        filename=image_name(_find_image(task)),
        width_px=as_size(sizes.get("original_width")),
        height_px=as_size(sizes.get("original_height")),
        objects=tuple(objects),
    )
    return LabelledImage(annotation, split, annotated=results is not None)


def _find_results(task: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return the rectangles of a task; None if nobody annotated it."""
    if "data" not in task:  # JSON-MIN: the rectangles are a field named after the labelling interface
        found = [value for value in task.values() if any(_LABELS in item for item in as_records(value))]
        return as_records(found[0]) if found else None
    annotations = [item for item in as_records(task.get("annotations")) if not item.get("was_cancelled")]
    chosen = annotations or as_records(task.get("predictions"))
    return as_records(chosen[-1].get("result")) if chosen else None


def _read_result(result: dict[str, Any]) -> AnnotatedObject | str:
    """Return a rectangle, or what is wrong with the result."""
    found = result.get("value")
    value = found if isinstance(found, dict) else result
    labels = value.get(_LABELS)
    if not isinstance(labels, list) or not labels or not as_text(labels[0]):
        return f"a result of type {as_text(result.get('type')) or 'unknown'!r} has no {_LABELS}"
    width_px, height_px = as_size(result.get("original_width")), as_size(result.get("original_height"))
    if width_px is None or height_px is None:
        return "a rectangle has no original_width and original_height"
    x, y, w, h = (as_number(value.get(key)) for key in ("x", "y", "width", "height"))
    rotation = as_number(value.get("rotation", 0))
    box = BoxXyxyPx(x, y, x + w, y + h).scaled(width_px / 100, height_px / 100)
    if not box.is_finite:
        return "a rectangle has no x, y, width and height"
    score = as_number(result.get("score"))
    return AnnotatedObject(
        as_text(labels[0]),
        _rotate(box, rotation) if math.isfinite(rotation) and rotation % 360 else box,
        score=score if 0 <= score <= 1 else None,
    )


def _rotate(box: BoxXyxyPx, degrees: float) -> BoxXyxyPx:
    """Return the upright box around a box that is rotated clockwise around its top left corner."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    xs = [box.x_min + dx * cosine - dy * sine for dx in (0, box.width_px) for dy in (0, box.height_px)]
    ys = [box.y_min + dx * sine + dy * cosine for dx in (0, box.width_px) for dy in (0, box.height_px)]
    return BoxXyxyPx(min(xs), min(ys), max(xs), max(ys))


def _format_object(item: AnnotatedObject, annotation: Annotation) -> dict[str, Any]:
    width_px, height_px = annotation.width_px or 1, annotation.height_px or 1
    box = item.box_xyxy_px.scaled(100 / width_px, 100 / height_px)
    record: dict[str, Any] = {
        "type": _LABELS,
        "from_name": "label",
        "to_name": "image",
        "original_width": width_px,
        "original_height": height_px,
        "value": {
            "x": box.x_min,
            "y": box.y_min,
            "width": box.width_px,
            "height": box.height_px,
            "rotation": 0,
            _LABELS: [item.label],
        },
    }
    return record if item.score is None else {**record, "score": item.score}
