"""CVAT's XML, "CVAT for images 1.1" (docs.cvat.ai, XML annotation format): boxes, and the bounding boxes of polygons.

Corners are in pixels from 0: xtl, ytl, xbr, ybr. What VOC has beyond a box is kept in attributes, under the names that
CVAT's own VOC export reads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.etree import ElementTree

from reefline.errors import DataError
from reefline.formats.voc import AnnotationSyntaxError, parse_xml_safely
from reefline.structures.annotation import AnnotatedObject, Annotation
from reefline.structures.boxes import BoxXyxyPx
from reefline.structures.labelled_set import LabelledImage, LabelledSet, merge_names

_SHAPES = ("box", "polygon", "polyline", "points", "mask", "ellipse", "cuboid", "skeleton")


def parse_cvat(content: bytes, source: str) -> LabelledSet:
    """Read an export; classes come in the order of the task's labels. An image's subset is its split.

    Raises:
        DataError: it is not XML, or not CVAT's.
    """
    try:
        root = parse_xml_safely(content)
    except AnnotationSyntaxError as error:
        raise DataError(f"{source}: {error}") from error
    if root.tag != "annotations":
        raise DataError(f"{source}: the root element is <{root.tag}>, expected <annotations> (CVAT for images 1.1)")
    if root.find("track") is not None:
        raise DataError(f"{source}: a video's tracks (CVAT for video); export it as `CVAT for images 1.1`")
    problems: list[str] = []
    images = tuple(_read_image(element, source, problems) for element in root.iter("image"))
    declared = tuple(filter(None, ((name.text or "").strip() for name in root.findall("meta//labels/label/name"))))
    used = tuple(item.label for image in images for item in image.annotation.objects)
    return LabelledSet(merge_names(declared, tuple(sorted(set(used)))), images, tuple(problems))


def format_cvat(images: Sequence[LabelledImage], names: Sequence[str]) -> bytes:
    """Return an export of the images, which need their sizes; `parse_cvat` reads it back."""
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    labels = ElementTree.SubElement(ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task"), "labels")
    for name in names:
        ElementTree.SubElement(ElementTree.SubElement(labels, "label"), "name").text = name
    for number, image in enumerate(images):
        annotation = image.annotation
        element = ElementTree.SubElement(root, "image", id=str(number), name=annotation.filename)
        element.set("width", str(annotation.width_px or 0))
        element.set("height", str(annotation.height_px or 0))
        if image.split:
            element.set("subset", image.split)
        for item in annotation.objects:
            _add_box(element, item)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _read_image(element: ElementTree.Element, source: str, problems: list[str]) -> LabelledImage:
    name = element.get("name", "").strip()
    objects = []
    for shape in element:
        if shape.tag not in _SHAPES:
            continue
        box = _read_shape(shape)
        label = shape.get("label", "").strip()
        if box is None or not label:
            what = f"a {shape.tag} without a box" if box is None else f"a {shape.tag} without a label"
            problems.append(f"{source}: {name}: {what} is left out")
        else:
            objects.append(_read_object(shape, label, box))
    annotation = Annotation(name, _read_size(element, "width"), _read_size(element, "height"), tuple(objects))
    return LabelledImage(annotation, element.get("subset", "").strip())


def _read_object(shape: ElementTree.Element, label: str, box: BoxXyxyPx) -> AnnotatedObject:
    attributes = {item.get("name", "").casefold(): (item.text or "").strip() for item in shape.findall("attribute")}
    score = _number(attributes.get("score", ""))
    return AnnotatedObject(
        label=label,
        box_xyxy_px=box,
        difficult=attributes.get("difficult", "").casefold() in ("true", "1"),
        truncated=attributes.get("truncated", "").casefold() in ("true", "1"),
        pose=attributes.get("pose") or "Unspecified",
        score=score if 0 <= score <= 1 else None,
    )


def _read_shape(shape: ElementTree.Element) -> BoxXyxyPx | None:
    """Return the upright box around a shape; None for shapes that have none."""
    if shape.tag == "box":
        corners = BoxXyxyPx(*(_number(shape.get(name, "")) for name in ("xtl", "ytl", "xbr", "ybr")))
        return _rotate(corners, _number(shape.get("rotation", "0"))) if corners.is_finite else None
    if shape.tag in ("polygon", "polyline"):
        points = [_number(word) for pair in shape.get("points", "").split(";") for word in pair.split(",")]
        if len(points) >= 4 and len(points) % 2 == 0 and all(map(math.isfinite, points)):
            return BoxXyxyPx(min(points[::2]), min(points[1::2]), max(points[::2]), max(points[1::2]))
    return None


def _rotate(box: BoxXyxyPx, degrees: float) -> BoxXyxyPx:
    """Return the upright box around a box that is rotated around its centre."""
    if not math.isfinite(degrees) or degrees % 360 == 0:
        return box
    cosine, sine = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    half_width = (box.width_px * cosine + box.height_px * sine) / 2
    half_height = (box.width_px * sine + box.height_px * cosine) / 2
    x, y = (box.x_min + box.x_max) / 2, (box.y_min + box.y_max) / 2
    return BoxXyxyPx(x - half_width, y - half_height, x + half_width, y + half_height)


def _add_box(image: ElementTree.Element, item: AnnotatedObject) -> None:
    box = item.box_xyxy_px
    corners = {"xtl": box.x_min, "ytl": box.y_min, "xbr": box.x_max, "ybr": box.y_max}
    element = ElementTree.SubElement(image, "box", label=item.label, occluded="0", source="manual")
    for name, value in corners.items():
        element.set(name, f"{value:.12g}")
    attributes = {"difficult": str(item.difficult).lower(), "truncated": str(item.truncated).lower(), "pose": item.pose}
    if item.score is not None:
        attributes["score"] = f"{item.score:g}"
    for name, text in attributes.items():
        ElementTree.SubElement(element, "attribute", name=name).text = text


def _read_size(element: ElementTree.Element, name: str) -> int | None:
    value = _number(element.get(name, ""))
    return int(value) if math.isfinite(value) and value >= 1 else None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
