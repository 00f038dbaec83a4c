from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reefline.formats.voc import (
    AnnotationSyntaxError,
    ForbiddenXmlError,
    describe_voc_box,
    format_voc_annotation,
    parse_voc_annotation,
)
from reefline.structures.annotation import AnnotatedObject, Annotation
from reefline.structures.boxes import BoxXyxyPx
from tests.factories import make_object

LABELIMG = """<annotation><folder>x</folder><filename>dog.jpg</filename><path>C:\\Users\\me\\dog.jpg</path>
<size><width>500</width><height>375</height><depth>3</depth></size>
<object><name> dog </name><pose>Left</pose><truncated>1</truncated><difficult>1</difficult>
<bndbox><xmin>48</xmin><ymin>240.5</ymin><xmax>195</xmax><ymax>371</ymax></bndbox></object></annotation>"""


def _bndbox(xmin: str, xmax: str) -> bytes:
    coordinates = f"<xmin>{xmin}</xmin><ymin>2</ymin><xmax>{xmax}</xmax><ymax>9</ymax>"
    return f"<annotation><object><name>a</name><bndbox>{coordinates}</bndbox></object></annotation>".encode()


def test_labelimg_is_read_with_pixels_counted_from_0() -> None:
    item = AnnotatedObject("dog", BoxXyxyPx(47, 239.5, 195, 371), difficult=True, truncated=True, pose="Left")
    assert parse_voc_annotation(LABELIMG.encode()) == Annotation("dog.jpg", 500, 375, (item,))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "windows-1252"])
def test_every_declared_encoding_is_read(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?>' + LABELIMG.replace(" dog ", "été")
    assert parse_voc_annotation(text.encode(encoding)).objects[0].label == "été"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no", False),
        ("0", False),
        (" False ", False),
        ("yes", True),
        ("1", True),
        ("TRUE", True),
        ("", None),
        ("unknown", None),
    ],
    ids=["no", "0", "false", "yes", "1", "true", "empty", "other"],
)
def test_the_verified_mark_is_read(text: str, expected: bool | None) -> None:
    assert parse_voc_annotation(f'<annotation verified="{text}"/>'.encode()).verified is expected


def test_optional_tags_may_be_missing() -> None:
    annotation = parse_voc_annotation(_bndbox("3", "8"))
    assert annotation == Annotation("", None, None, (AnnotatedObject("a", BoxXyxyPx(2, 1, 8, 9)),))


@pytest.mark.parametrize(
    ("width", "expected"),
    [pytest.param("0", 0, id="zero"), pytest.param("wide", 0, id="a-word"), pytest.param("12.0", 12, id="a-float")],
)
def test_an_invalid_size_differs_from_a_missing_one(width: str, expected: int) -> None:
    xml = f"<annotation><size><width>{width}</width></size></annotation>"
    annotation = parse_voc_annotation(xml.encode())
    assert (annotation.width_px, annotation.height_px) == (expected, None)


@pytest.mark.parametrize(
    ("xmin", "xmax", "expected"),
    [
        pytest.param("1", "8", (0, 8), id="counted-from-1"),
        pytest.param("0", "8", (0, 8), id="counted-from-0"),
        pytest.param("-3", "8", (-3, 8), id="outside"),
        pytest.param("8", "8", (8, 8), id="a-click"),
        pytest.param("9", "8", (9, 8), id="reversed"),
        pytest.param("1e1", "12.5", (9, 12.5), id="floats"),
    ],
)
def test_an_extent_is_read(xmin: str, xmax: str, expected: tuple[float, float]) -> None:
    box = parse_voc_annotation(_bndbox(xmin, xmax)).objects[0].box_xyxy_px
    assert (box.x_min, box.x_max) == expected


@pytest.mark.parametrize("text", ["", "nan", "abc", "1,5", "1_0"])
def test_a_coordinate_that_is_not_a_number_becomes_nan(text: str) -> None:
    assert math.isnan(parse_voc_annotation(_bndbox(text, "8")).objects[0].box_xyxy_px.x_min)


@pytest.mark.parametrize(
    "doctype",
    [
        pytest.param('<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]>', id="bomb"),
        pytest.param('<!DOCTYPE a [<!ENTITY c SYSTEM "file:///etc/passwd">]>', id="external-entity"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-15", "cp037"])
def test_entities_are_refused_in_every_encoding(doctype: str, encoding: str) -> None:
    declared = encoding.removesuffix("-sig")
    xml = f'<?xml version="1.0" encoding="{declared}"?>{doctype}<annotation><filename>&c;</filename></annotation>'
    with pytest.raises(AnnotationSyntaxError, match=r"declares an entity|cannot parse") as caught:
        parse_voc_annotation(xml.encode(encoding))
    # expat does not read EBCDIC, so it never reaches the entities.
    assert isinstance(caught.value, ForbiddenXmlError) == (encoding != "cp037")


def test_a_dtd_without_entities_is_harmless() -> None:
    assert parse_voc_annotation(b"<!DOCTYPE annotation>" + _bndbox("3", "8")) == parse_voc_annotation(_bndbox("3", "8"))


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        pytest.param(b"", "cannot parse the XML", id="empty"),
        pytest.param(b"<annotation><object>", "cannot parse the XML", id="cut-off"),
        pytest.param(b"<html/>", "root element is <html>, expected <annotation>", id="another-format"),
        pytest.param(
            b'<?xml version="1.0" encoding="x-none"?><annotation/>', "cannot parse the XML", id="unknown-encoding"
        ),
    ],
)
def test_other_xml_is_refused(xml: bytes, message: str) -> None:
    with pytest.raises(AnnotationSyntaxError, match=message):
        parse_voc_annotation(xml)


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda t: f"<annotation>{t}</annotation>".encode()))
def test_the_parser_raises_only_its_own_error(xml: bytes) -> None:
    try:
        assert isinstance(parse_voc_annotation(xml), Annotation)
    except AnnotationSyntaxError as error:
        assert str(error)


NAMES = st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="￾￿"), min_size=1).map(str.strip)
EXTENTS = st.tuples(st.integers(0, 5000), st.integers(2, 5000)).map(lambda pair: (pair[0], pair[0] + pair[1]))
OBJECTS = st.builds(
    lambda label, x, y, difficult, truncated: make_object(
        label, (x[0], y[0], x[1], y[1]), difficult=difficult, truncated=truncated
    ),
    NAMES.filter(bool),
    EXTENTS,
    EXTENTS,
    st.booleans(),
    st.booleans(),
)


@given(st.builds(Annotation, NAMES, st.integers(1, 9999), st.integers(1, 9999), st.lists(OBJECTS).map(tuple)))
def test_a_written_annotation_is_read_back(annotation: Annotation) -> None:
    assert parse_voc_annotation(format_voc_annotation(annotation)) == annotation


@pytest.mark.parametrize("xmin", ["-3", "1", "48", "195", "200"])
def test_a_box_is_described_as_in_its_file(xmin: str) -> None:
    box = parse_voc_annotation(_bndbox(xmin, "195")).objects[0].box_xyxy_px
    assert describe_voc_box(box) == f"xmin {xmin}, ymin 2, xmax 195, ymax 9"


@pytest.mark.parametrize(
    ("encoding", "label"),
    [
        ("Shift_JIS", "\u8d64\u8840\u7403"),
        ("euc-jp", "\u8d64\u8840\u7403"),
        ("GBK", "\u7ea2\u7ec6\u80de"),
        ("gb2312", "\u7ea2\u7ec6\u80de"),
        ("Big5", "\u7d05\u8840\u7403"),
        ("EUC-KR", "\uc801\ud608\uad6c"),
        ("utf-16-le", "\u8d64\u8840\u7403"),
        ("utf-16-be", "caf\u00e9"),
    ],
)
@pytest.mark.parametrize("dtd", [False, True], ids=["", "entities"])
def test_encodings_of_several_bytes_are_read(encoding: str, label: str, dtd: bool) -> None:
    entities = '<!DOCTYPE a [<!ENTITY b "c">]>' if dtd else ""
    declared = "UTF-16" if encoding.startswith("utf-16") else encoding
    body = f"<annotation><object><name>{label}</name></object></annotation>"
    text = f'<?xml version="1.0" encoding="{declared}"?>{entities}{body}'
    if dtd:
        with pytest.raises(ForbiddenXmlError, match="declares an entity"):
            parse_voc_annotation(text.encode(encoding))
    else:
        assert parse_voc_annotation(text.encode(encoding)).objects[0].label == label


def test_bytes_that_the_declared_encoding_lacks_are_refused() -> None:
    with pytest.raises(AnnotationSyntaxError, match="cannot parse the XML"):
        parse_voc_annotation(b'<?xml version="1.0" encoding="GBK"?><annotation>\xff\xff</annotation>')
