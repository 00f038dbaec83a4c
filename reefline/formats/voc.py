"""Pascal VOC annotations (LabelImg's XML); only this module reads and writes them.

VOC counts pixels from 1 and its corners belong to the box (VOC2012 devkit, section 3.2). The internal box counts from
0 and ends where the last pixel ends, so x_min = xmin - 1 and x_max = xmax. Two habits of tools are handled: tools that
count from 0 write xmin 0 for the image's edge, and a click without a drag writes xmin = xmax, which stays an empty box
and does not become one pixel.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable
from xml.etree import ElementTree

import defusedxml.ElementTree
from defusedxml.common import DefusedXmlException

from reefline.errors import DataError
from reefline.structures.annotation import AnnotatedObject, Annotation
from reefline.structures.boxes import BoxXyxyPx

_DECLARED_ENCODING = re.compile(rb"<\?xml[^>]{0,99}?\sencoding\s*=\s*[\"']([\w.-]{1,40})[\"']")
_DECLARATION = re.compile(r"^<\?xml[^>]*\?>")
# Encodings of several bytes per character, which expat leaves to the caller, and Python's name for each. Microsoft's
# supersets stand in for the standards that Windows tools claim to write.
_EAST_ASIAN = {
    **dict.fromkeys(("shift_jis", "sjis", "x_sjis", "ms_kanji", "cp932", "windows_31j"), "cp932"),
    **dict.fromkeys(("gbk", "gb2312", "cp936", "gb18030"), "gb18030"),
    **dict.fromkeys(("big5", "cp950", "big5_hkscs"), "big5hkscs"),
    **dict.fromkeys(("euc_kr", "cp949", "ks_c_5601_1987", "uhc"), "cp949"),
    "euc_jp": "euc_jp",
    "iso_2022_jp": "iso2022_jp",
}
_TRUE_WORDS = frozenset({"1", "true", "yes"})
_FALSE_WORDS = frozenset({"0", "false", "no"})
# The texts in nearly every file, recognized without further parsing.
_FALSE_TEXTS = frozenset({"0", None})


class AnnotationSyntaxError(DataError):
    """An annotation file that is not VOC XML."""


class ForbiddenXmlError(AnnotationSyntaxError):
    """An annotation file that declares entities, which may be an XML bomb or read other files."""


def parse_voc_annotation(xml_bytes: bytes) -> Annotation:
    """Read one VOC annotation from the bytes of its XML file, in any encoding the XML declares.

    Missing optional tags get their defaults; a coordinate that is missing or not a number becomes NaN, for the rules
    to judge. Entities and external files are never resolved.

    Raises:
        ForbiddenXmlError: the XML declares entities.
        AnnotationSyntaxError: the bytes are not well-formed XML with an <annotation> at its root.
    """
    root = parse_xml_safely(xml_bytes)
    if root.tag != "annotation":
        raise AnnotationSyntaxError(f"the root element is <{root.tag}>, expected <annotation>: is this a VOC file?")
    return Annotation(
        filename=_text(root, "filename"),
        width_px=_size(_text(root, "size/width")),
        height_px=_size(_text(root, "size/height")),
        objects=tuple(_parse_object(element) for element in root.iter("object")),
        verified=_parse_mark(root.get("verified")),
    )


def format_voc_annotation(annotation: Annotation) -> bytes:
    """Return the annotation as the bytes of a VOC XML file in UTF-8; `parse_voc_annotation` reads it back."""
    objects = "".join(_format_object(item) for item in annotation.objects)
    verified = "" if annotation.verified is None else f' verified="{"yes" if annotation.verified else "no"}"'
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f"<annotation{verified}>\n"
        f"  <filename>{_escape(annotation.filename)}</filename>\n"
        f"  <size><width>{annotation.width_px or 0}</width><height>{annotation.height_px or 0}</height>"
        "<depth>3</depth></size>\n"
        "  <segmented>0</segmented>\n"
        f"{objects}</annotation>\n"
    ).encode()


def rename_objects(xml_bytes: bytes, new_name: Callable[[str], str | None]) -> bytes:
    """Return an annotation with other class names; everything else in the XML stays, and None removes the object.

    Raises:
        AnnotationSyntaxError: as in `parse_voc_annotation`.
    """
    root = parse_xml_safely(xml_bytes)
    changed = False
    for parent in list(root.iter()):
        for element in parent.findall("object"):
            name = element.find("name")
            old = _text(element, "name")
            new = new_name(old)
            changed |= new != old
            if new is None:
                parent.remove(element)
            elif name is not None:
                name.text = new
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n" if changed else xml_bytes


def describe_voc_box(box_xyxy_px: BoxXyxyPx) -> str:
    """Return the box with the tags and numbers of the XML it was read from."""
    box = box_xyxy_px
    xmin, ymin = _written_low(box.x_min, box.x_max), _written_low(box.y_min, box.y_max)
    return f"xmin {xmin:g}, ymin {ymin:g}, xmax {box.x_max:g}, ymax {box.y_max:g}"


def parse_xml_safely(xml_bytes: bytes) -> ElementTree.Element:
    """Return the root of an XML file in any encoding that Python knows; entities are refused.

    Raises:
        ForbiddenXmlError: the XML declares entities.
        AnnotationSyntaxError: the bytes are not well-formed XML.
    """
    try:
        try:
            return _parse_safely(xml_bytes)
        except (ElementTree.ParseError, ValueError):
            converted = _convert_to_utf8(xml_bytes)
            if converted is None:
                raise
            return _parse_safely(converted)
    except DefusedXmlException as error:
        raise ForbiddenXmlError(
            f"the XML declares an entity ({error}), which is not allowed: delete its DTD"
        ) from error
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        # LookupError: an encoding that Python does not know. ValueError: bytes that the encoding does not have.
        raise AnnotationSyntaxError(f"cannot parse the XML ({error}): save or export it again") from error


def _parse_safely(xml_bytes: bytes) -> ElementTree.Element:
    if _may_declare_entities(xml_bytes):
        return defusedxml.ElementTree.fromstring(xml_bytes)
    # defusedxml parses in Python; the C parser takes a third of the time (benchmarks/ingestion.py).
    return ElementTree.fromstring(xml_bytes)  # noqa: S314  without a DTD it has no entities


def _convert_to_utf8(xml_bytes: bytes) -> bytes | None:
    """Return the XML as UTF-8 where it has an encoding that expat refuses: East Asian, or UTF-16 without a mark.

    None for any other encoding.
    """
    declared = _DECLARED_ENCODING.match(xml_bytes)
    encoding = "utf-16-le" if xml_bytes.startswith(b"<\0") else "utf-16-be" if xml_bytes.startswith(b"\0<") else None
    if encoding is None and declared is not None:
        encoding = _EAST_ASIAN.get(declared[1].decode().lower().replace("-", "_"))
    if encoding is None:
        return None
    return _DECLARATION.sub("", xml_bytes.decode(encoding)).encode()


def _may_declare_entities(xml_bytes: bytes) -> bool:
    """Return False only where the bytes cannot hold a DTD, the only place where XML declares entities.

    expat reads UTF-8, UTF-16 and encodings that extend ASCII. UTF-16 has a zero byte in each ASCII character; in the
    others a DTD starts with exactly these bytes (XML 1.0, 2.8).
    """
    return b"\0" in xml_bytes or b"<!DOCTYPE" in xml_bytes


def _parse_object(element: ElementTree.Element) -> AnnotatedObject:
    facts = _texts(element)
    bndbox = element.find("bndbox")
    corners = {} if bndbox is None else _texts(bndbox)
    x_min, x_max = _read_extent(_float(corners.get("xmin")), _float(corners.get("xmax")))
    y_min, y_max = _read_extent(_float(corners.get("ymin")), _float(corners.get("ymax")))
    return AnnotatedObject(
        (facts.get("name") or "").strip(),
        BoxXyxyPx(x_min, y_min, x_max, y_max),
        _is_true(facts.get("difficult")),
        _is_true(facts.get("truncated")),
        (facts.get("pose") or "").strip() or "Unspecified",
        _score(facts.get("score")),
    )


def _read_extent(low: float, high: float) -> tuple[float, float]:
    """Return where an annotated extent starts and ends, counted from 0; NaN stays NaN."""
    if low >= high or low < 0:
        return low, high
    return max(low - 1, 0.0), high


def _written_low(low: float, high: float) -> float:
    """Return the inverse of `_read_extent` for `low`, except for boxes of up to a pixel away from the image's edge."""
    is_edge_pixel = low == 0 and high <= 1
    return low if low >= high or low < 0 or is_edge_pixel else low + 1


def _format_object(item: AnnotatedObject) -> str:
    box = item.box_xyxy_px
    score = "" if item.score is None else f"    <score>{item.score:.4f}</score>\n"
    return (
        "  <object>\n"
        f"    <name>{_escape(item.label)}</name>\n"
        f"    <pose>{_escape(item.pose)}</pose>\n"
        f"    <truncated>{int(item.truncated)}</truncated>\n"
        f"    <difficult>{int(item.difficult)}</difficult>\n"
        f"{score}"
        f"    <bndbox><xmin>{_written_low(box.x_min, box.x_max):.10g}</xmin>"
        f"<ymin>{_written_low(box.y_min, box.y_max):.10g}</ymin>"
        f"<xmax>{box.x_max:.10g}</xmax><ymax>{box.y_max:.10g}</ymax></bndbox>\n"
        "  </object>\n"
    )


def _escape(text: str) -> str:
    # xml.sax.saxutils has the same function, but imports urllib, http and email with it.
    return html.escape(text, quote=False)


def _text(element: ElementTree.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _texts(element: ElementTree.Element) -> dict[str, str | None]:
    """Return the text of each child by its tag, in one pass; of repeated children the first counts."""
    return {child.tag: child.text for child in reversed(element)}


def _is_true(text: str | None) -> bool:
    return text not in _FALSE_TEXTS and (text or "").strip().lower() in _TRUE_WORDS


def _parse_mark(text: str | None) -> bool | None:
    word = (text or "").strip().lower()
    return True if word in _TRUE_WORDS else False if word in _FALSE_WORDS else None


def _float(text: str | None) -> float:
    # Python would read 1_0 as 10.
    if text is None or "_" in text:
        return math.nan
    try:
        return float(text)
    except ValueError:
        return math.nan


def _score(text: str | None) -> float | None:
    value = _float(text)
    return value if 0 <= value <= 1 else None


def _size(text: str) -> int | None:
    value = _float(text)
    if not text:
        return None
    return int(value) if math.isfinite(value) and value >= 1 else 0
