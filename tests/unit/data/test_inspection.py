from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reefline.data.inspection import ImageLimits, Inspection, inspect_candidate
from reefline.data.matching import Candidate
from reefline.data.shards import load_example
from reefline.structures.boxes import BoxXyxyPx
from tests.factories import add_image, encode_image, make_jpeg, make_object, make_pixels, make_xml

CANDIDATE = Candidate("a.jpg", "a.xml", "")


def _inspect(folder: Path, candidate: Candidate = CANDIDATE, max_dimension: int | None = None) -> Inspection:
    return inspect_candidate(folder, candidate, ImageLimits(10**8, max_dimension), None)


def _rules(inspection: Inspection) -> list[tuple[str, str, str]]:
    return [(finding.file, finding.rule, finding.action.value) for finding in inspection.findings]


def test_a_good_image_passes_through(tmp_path: Path) -> None:
    path = add_image(tmp_path)
    inspection = _inspect(tmp_path)
    record = inspection.record
    assert record is not None
    assert (record.image, record.xml, record.split) == ("a.jpg", "a.xml", "")
    assert record.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (record.width_px, record.height_px, record.passes_through, record.apply_exif) == (64, 48, True, False)
    assert [item.box_xyxy_px for item in record.objects] == [make_object().box_xyxy_px]
    assert (inspection.findings, inspection.boxes_found) == ((), 1)


def test_shrinking_scales_the_boxes(tmp_path: Path) -> None:
    add_image(tmp_path, objects=[make_object(box=(4, 4, 64, 48))])
    record = _inspect(tmp_path, max_dimension=32).record
    assert record is not None
    assert (record.width_px, record.height_px, record.passes_through) == (32, 24, False)
    assert record.objects[0].box_xyxy_px == BoxXyxyPx(2, 2, 32, 24)


@pytest.mark.parametrize(
    ("size_px", "box", "applied"),
    [
        pytest.param((48, 64), (1, 1, 40, 60), True, id="size-is-upright"),
        pytest.param((64, 48), (1, 1, 20, 20), False, id="size-is-stored"),
        pytest.param((None, None), (1, 1, 40, 60), True, id="boxes-fit-upright"),
        pytest.param((None, None), (1, 1, 60, 40), False, id="boxes-fit-stored"),
        pytest.param((0, 0), (1, 1, 20, 20), True, id="boxes-fit-both"),
    ],
)
def test_a_rotation_is_applied_where_the_boxes_agree(
    tmp_path: Path, size_px: tuple[int | None, int | None], box: tuple[float, ...], applied: bool
) -> None:
    add_image(tmp_path, image_bytes=make_jpeg(orientation=6))
    (tmp_path / "a.xml").write_bytes(make_xml([make_object(box=box)], size_px=size_px))
    inspection = _inspect(tmp_path)
    record = inspection.record
    assert record is not None
    assert (record.width_px, record.height_px) == ((48, 64) if applied else (64, 48))
    assert (record.apply_exif, record.passes_through) == (applied, not applied)
    assert _rules(inspection)[0] == ("a.jpg", "exif_rotated", "fixed" if applied else "kept")
    assert len(record.objects) == 1


@pytest.mark.parametrize("drawn", ["upright", "stored"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_the_object_stays_where_its_box_is(tmp_path: Path, image_format: str, orientation: int, drawn: str) -> None:
    stored = np.zeros((40, 64), dtype=np.uint8)
    stored[4:16, 8:40] = 255
    content = encode_image(stored, image_format, mode="RGB", orientation=orientation)
    # EXIF's own definition: for 5 to 8 rows become columns; then the axes that run backwards are reversed.
    upright = stored.T if orientation >= 5 else stored
    upright = upright[:: -1 if orientation in (3, 4, 7, 8) else 1]
    upright = upright[:, :: -1 if orientation in (2, 3, 6, 7) else 1]
    pixels = upright if drawn == "upright" or orientation in (2, 3, 4) else stored
    rows, columns = np.nonzero(pixels)
    box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    add_image(tmp_path, image_bytes=content)
    (tmp_path / "a.xml").write_bytes(make_xml([make_object(box=box)], size_px=pixels.shape[::-1]))
    record = _inspect(tmp_path).record
    assert record is not None
    example = load_example(tmp_path, record, {"cat": 1})
    found = np.asarray(Image.open(io.BytesIO(example.encoded_jpeg)).convert("L"))
    assert found.shape == (example.height_px, example.width_px) == pixels.shape
    (item,) = example.objects
    x_min, y_min, x_max, y_max = map(int, item.box_xyxy_px)
    inside = np.zeros(found.shape, dtype=bool)
    inside[y_min:y_max, x_min:x_max] = True
    assert found[inside].mean() > 240 and found[~inside].mean() < 15


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_rotation_without_evidence_is_applied_and_not_called_a_match(tmp_path: Path, orientation: int) -> None:
    add_image(tmp_path, image_bytes=make_jpeg(width_px=48, height_px=48, orientation=orientation))
    (tmp_path / "a.xml").write_bytes(make_xml(size_px=(48, 48)))
    inspection = _inspect(tmp_path)
    assert inspection.record is not None and inspection.record.apply_exif
    (finding,) = inspection.findings
    assert "fits both ways: check the boxes" in finding.message


def test_the_boxes_of_a_resized_image_decide_its_rotation(tmp_path: Path) -> None:
    add_image(tmp_path, image_bytes=make_jpeg(orientation=6))
    (tmp_path / "a.xml").write_bytes(make_xml([make_object(box=(10, 10, 96, 128))], size_px=(96, 128)))
    record = _inspect(tmp_path).record
    assert record is not None and record.apply_exif
    assert record.objects[0].box_xyxy_px == BoxXyxyPx(5, 5, 48, 64)


def test_a_guessed_range_is_a_finding(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.full((48, 64), 4000, dtype=np.uint16)).save(buffer, "PNG")
    add_image(tmp_path, image_bytes=buffer.getvalue())
    assert _rules(_inspect(tmp_path)) == [("a.jpg", "image_range", "kept")]


def test_a_grey_image_is_transcoded(tmp_path: Path) -> None:
    add_image(tmp_path, image_bytes=encode_image(make_pixels(), mode="L"))
    inspection = _inspect(tmp_path)
    assert inspection.record is not None
    assert not inspection.record.passes_through
    assert inspection.findings == ()


def test_all_findings_of_an_image_are_collected(tmp_path: Path) -> None:
    add_image(tmp_path)
    objects = [make_object(box=(5, 5, 5, 5)), make_object(box=(1, 1, 65, 20))]
    (tmp_path / "a.xml").write_bytes(make_xml(objects, size_px=(0, 0)))
    assert _rules(_inspect(tmp_path)) == [
        ("a.xml", "size_mismatch", "kept"),
        ("a.xml", "box_degenerate", "dropped_box"),
        ("a.xml", "box_outside_image", "fixed"),
    ]


@pytest.mark.parametrize(
    ("image_bytes", "xml", "file", "rule"),
    [
        pytest.param(b"text", make_xml(), "a.jpg", "image_unreadable", id="text"),
        pytest.param(make_jpeg()[:900], make_xml(), "a.jpg", "image_truncated", id="truncated"),
        pytest.param(make_jpeg(), b"<annotation>", "a.xml", "xml_unreadable", id="xml"),
        pytest.param(make_jpeg(), b'<!DOCTYPE a [<!ENTITY b "c">]><annotation/>', "a.xml", "xml_forbidden", id="bomb"),
        pytest.param(make_jpeg(), make_xml(filename="../../etc/passwd"), "a.xml", "filename_unsafe", id="filename"),
    ],
)
def test_unusable_files_are_left_out(tmp_path: Path, image_bytes: bytes, xml: bytes, file: str, rule: str) -> None:
    (tmp_path / "a.jpg").write_bytes(image_bytes)
    (tmp_path / "a.xml").write_bytes(xml)
    inspection = _inspect(tmp_path)
    assert inspection.record is None
    assert _rules(inspection) == [(file, rule, "dropped_image")]


def test_missing_files_are_findings(tmp_path: Path) -> None:
    assert _rules(_inspect(tmp_path)) == [("a.xml", "xml_unreadable", "dropped_image")]
    (tmp_path / "a.xml").write_bytes(make_xml())
    assert _rules(_inspect(tmp_path)) == [("a.jpg", "image_missing", "dropped_image")]


def test_an_image_too_large_for_jpeg_is_left_out_unless_shrunk(tmp_path: Path) -> None:
    wide = encode_image(make_pixels(width_px=66_000, height_px=2), "PNG")
    add_image(tmp_path, suffix=".png", image_bytes=wide, objects=[make_object(box=(0, 0, 66_000, 2))])
    (tmp_path / "a.xml").write_bytes(make_xml([make_object(box=(0, 0, 66_000, 2))], size_px=(66_000, 2)))
    candidate = Candidate("a.png", "a.xml", "")
    assert _rules(_inspect(tmp_path, candidate)) == [("a.png", "image_too_large", "dropped_image")]
    record = _inspect(tmp_path, candidate, max_dimension=1000).record
    assert record is not None
    assert (record.width_px, record.height_px) == (1000, 1)
    assert record.objects[0].box_xyxy_px == BoxXyxyPx(0, 0, 1000, 1)
