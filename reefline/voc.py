"""Pascal VOC annotations (LabelImg's XML): read and written here, and nowhere else.

VOC counts pixels from 1 and its corners belong to the box (VOC2012 devkit, section 3.2). The internal box counts from
0 and ends where the last pixel ends, so that x_min = xmin - 1 and x_max = xmax.
"""

from __future__ import annotations

import math
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import defusedxml.ElementTree
from defusedxml.common import DefusedXmlException

from reefline.annotation import AnnotatedObject, Annotation
from reefline.boxes import BoxXyxyPx
from reefline.errors import DataError

_TRUE_WORDS = frozenset({"1", "true", "yes"})


class AnnotationSyntaxError(DataError):
    """An annotation file that cannot be read as VOC XML."""


def parse_voc_annotation(xml_bytes: bytes) -> Annotation:
    """Read one VOC annotation from the bytes of its XML file, in any encoding the XML declares.

    Missing optional tags get their defaults; a coordinate that is missing or not a number becomes NaN, for the rules
    to judge. Neither entities nor external files are ever resolved.

    Raises:
        AnnotationSyntaxError: the bytes are no well-formed, harmless XML with an <annotation> at its root.
    """
    root = _parse_xml(xml_bytes)
    if root.tag != "annotation":
        raise AnnotationSyntaxError(f"the root element is <{root.tag}>, expected <annotation>: is this a VOC file?")
    return Annotation(
        filename=_text(root, "filename"),
        width_px=_positive_int(_text(root, "size/width")),
        height_px=_positive_int(_text(root, "size/height")),
        objects=tuple(_parse_object(element) for element in root.iter("object")),
    )


def format_voc_annotation(annotation: Annotation) -> bytes:
    """Return the annotation as the bytes of a VOC XML file in UTF-8; `parse_voc_annotation` reads it back."""
    objects = "".join(_format_object(item) for item in annotation.objects)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        "<annotation>\n"
        f"  <filename>{escape(annotation.filename)}</filename>\n"
        f"  <size><width>{annotation.width_px or 0}</width><height>{annotation.height_px or 0}</height>"
        "<depth>3</depth></size>\n"
        "  <segmented>0</segmented>\n"
        f"{objects}</annotation>\n"
    ).encode()


def describe_voc_box(box_xyxy_px: BoxXyxyPx) -> str:
    """Return the box in the words and numbers of the XML it was read from."""
    box = box_xyxy_px
    return f"xmin {box.x_min + 1:g}, ymin {box.y_min + 1:g}, xmax {box.x_max:g}, ymax {box.y_max:g}"


def _parse_xml(xml_bytes: bytes) -> ElementTree.Element:
    try:
        return defusedxml.ElementTree.fromstring(xml_bytes)
    except DefusedXmlException as error:
        raise AnnotationSyntaxError(f"the XML declares an entity, which is refused: {error}") from error
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        # LookupError: an encoding that Python does not know. ValueError: a multi-byte encoding that expat refuses.
        raise AnnotationSyntaxError(f"the XML cannot be read: {error}") from error


def _parse_object(element: ElementTree.Element) -> AnnotatedObject:
    return AnnotatedObject(
        label=_text(element, "name"),
        box_xyxy_px=BoxXyxyPx(
            x_min=_float(_text(element, "bndbox/xmin")) - 1,
            y_min=_float(_text(element, "bndbox/ymin")) - 1,
            x_max=_float(_text(element, "bndbox/xmax")),
            y_max=_float(_text(element, "bndbox/ymax")),
        ),
        difficult=_text(element, "difficult").lower() in _TRUE_WORDS,
        truncated=_text(element, "truncated").lower() in _TRUE_WORDS,
        pose=_text(element, "pose") or "Unspecified",
    )


def _format_object(item: AnnotatedObject) -> str:
    box = item.box_xyxy_px
    return (
        "  <object>\n"
        f"    <name>{escape(item.label)}</name>\n"
        f"    <pose>{escape(item.pose)}</pose>\n"
        f"    <truncated>{int(item.truncated)}</truncated>\n"
        f"    <difficult>{int(item.difficult)}</difficult>\n"
        f"    <bndbox><xmin>{box.x_min + 1:.10g}</xmin><ymin>{box.y_min + 1:.10g}</ymin>"
        f"<xmax>{box.x_max:.10g}</xmax><ymax>{box.y_max:.10g}</ymax></bndbox>\n"
        "  </object>\n"
    )


def _text(element: ElementTree.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _positive_int(text: str) -> int | None:
    value = _float(text)
    return int(value) if math.isfinite(value) and value >= 1 else None
