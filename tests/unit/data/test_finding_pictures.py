"""Pictures of findings: which are chosen, what is kept of them, and that they never end a run."""

from __future__ import annotations

import errno
import io
from pathlib import Path

import pytest
from PIL import Image

from reefline.data.data_parts import DataSet
from reefline.data.finding_pictures import (
    MAX_BOXES_PER_FILE,
    MAX_FILES_PER_RULE,
    MAX_THUMBNAILS,
    choose_files,
    find_partners,
    write_finding_pictures,
)
from reefline.data.image_record import EVAL, TRAIN, ImageRecord
from reefline.data.reports import FindingPictures, PicturedBox, PicturedFile
from reefline.data.rules.dataset_rules import DatasetContext, check_near_duplicate_across_splits
from reefline.findings import Action, Finding
from reefline.images.thumbnails import ThumbnailWriter, read_thumbnails
from reefline.settings import ValidationSettings
from reefline.storage.interface import Revision, StoredObject
from reefline.structures.artifacts import IngestionFolder
from tests.factories import add_image, make_jpeg, make_object, make_record, make_report

LIMIT = 100_000_000


def _finding(file: str, rule: str = "box_degenerate", item: int | None = 0) -> Finding:
    return Finding(file, item, rule, "wrong", Action.DROPPED_BOX)


def _write(
    data: Path, out: Path, findings: list[Finding], records: list[ImageRecord], limit: int = LIMIT
) -> tuple[PicturedFile, ...]:
    out.mkdir(exist_ok=True)
    report = make_report(records, findings=tuple(findings))
    write_finding_pictures(DataSet(str(data)), IngestionFolder(out), report, records, max_image_pixels=limit)
    return FindingPictures.read(IngestionFolder(out).pictures).files


def _thumbnail(out: Path, name: str) -> Image.Image:
    return Image.open(io.BytesIO(read_thumbnails(IngestionFolder(out).thumbnails, {name})[name]))


def test_a_dropped_box_is_kept_as_annotated(tmp_path: Path) -> None:
    data = tmp_path / "data"
    add_image(data, "a", objects=[make_object(), make_object("dog", (30, 5, 9, 7))])
    (pictured,) = _write(data, tmp_path / "out", [_finding("a.xml", item=1)], [make_record("a.jpg")])
    assert pictured == PicturedFile("a.xml", "a.jpg", 64, 48, (PicturedBox(1, "dog", (30.0, 5.0, 9.0, 7.0)),))
    assert _thumbnail(tmp_path / "out", "a.jpg").size == (64, 48)


def test_a_box_that_is_not_a_number_has_no_rectangle(tmp_path: Path) -> None:
    data = tmp_path / "data"
    add_image(data, "a", objects=[make_object(box=(float("nan"), 1, 5, 5))])
    (pictured,) = _write(data, tmp_path / "out", [_finding("a.xml")], [make_record("a.jpg")])
    assert pictured.boxes == ()


@pytest.mark.parametrize(
    ("apply_exif", "size_px"), [pytest.param(True, (48, 64), id="applied"), pytest.param(False, (64, 48), id="ignored")]
)
def test_a_picture_is_turned_as_ingestion_turned_the_image(
    tmp_path: Path, apply_exif: bool, size_px: tuple[int, int]
) -> None:
    data = tmp_path / "data"
    add_image(data, "a", image_bytes=make_jpeg(orientation=6))
    record = make_record("a.jpg", apply_exif=apply_exif, width_px=size_px[0], height_px=size_px[1])
    (pictured,) = _write(data, tmp_path / "out", [_finding("a.jpg", "exif_rotated", None)], [record])
    assert (pictured.width_px, pictured.height_px) == size_px == _thumbnail(tmp_path / "out", "a.jpg").size


def test_an_image_without_an_annotation_is_pictured_and_a_broken_one_is_not(tmp_path: Path) -> None:
    data = tmp_path / "data"
    add_image(data, "lonely")
    add_image(data, "broken", image_bytes=make_jpeg()[:200])
    add_image(data, "text", image_bytes=b"no image")
    names = ["broken.jpg", "gone.jpg", "lonely.jpg", "text.jpg", "nowhere.xml", ""]
    found = _write(data, tmp_path / "out", [_finding(name, "image_not_annotated", None) for name in names], [])
    assert [pictured.file for pictured in found] == ["lonely.jpg"]


def test_an_image_above_the_limit_is_not_decoded(tmp_path: Path) -> None:
    data = tmp_path / "data"
    add_image(data, "a")
    assert _write(data, tmp_path / "out", [_finding("a.jpg", "image_too_large", None)], [], limit=64 * 48 - 1) == ()


def test_both_images_of_a_pair_are_pictured(tmp_path: Path) -> None:
    data = tmp_path / "data"
    records = []
    for name, split in (("a", TRAIN), ("b", EVAL), ("c", EVAL)):
        add_image(data, name)
        records.append(make_record(f"{name}.jpg", split=split, perceptual_hash=255 if name == "c" else 1))
    found = _write(data, tmp_path / "out", [], records)
    assert {pictured.file for pictured in found} == {"a.jpg", "b.jpg"}


def test_partners_are_found_by_name_or_by_content() -> None:
    one, other, far = (
        make_record("a.jpg", perceptual_hash=1),
        make_record("b (eval), c.jpg", split=EVAL),
        make_record("c.jpg", split=EVAL, perceptual_hash=2**60 - 1),
    )
    context = DatasetContext((one, other, far), make_report([one, other, far]), ValidationSettings())
    (observation,) = check_near_duplicate_across_splits(context)
    near = Finding(*observation[:2], "near_duplicate_across_splits", observation[2], Action.KEPT)
    pair = {near.file, *(record.image for record in find_partners(near, (one, other, far)))}
    assert pair == {"a.jpg", "b (eval), c.jpg"}
    copy = make_record("copy.jpg", split=EVAL, sha256=one.sha256)
    exact = Finding("a.jpg", None, "duplicate_across_splits", "", Action.KEPT)
    assert find_partners(exact, (one, other, copy)) == (copy,)
    assert find_partners(exact, (other,)) == ()
    assert find_partners(_finding("a.jpg"), (one, copy)) == ()


def test_each_rule_gets_some_files_and_each_file_some_boxes() -> None:
    image_of = {f"{number:03d}.xml": f"{number:03d}.jpg" for number in range(40)}
    many = [_finding(name) for name in image_of]
    crowd = [_finding("000.xml", "box_tiny", item) for item in range(3000)]
    chosen = choose_files([*many, *crowd], (), image_of)
    assert len(chosen) == MAX_FILES_PER_RULE
    assert len(chosen["000.xml"]) == MAX_BOXES_PER_FILE
    assert chosen["001.xml"] == [0]


def test_rules_take_turns_and_the_number_of_pictures_is_limited(tmp_path: Path) -> None:
    data = tmp_path / "data"
    findings = []
    for rule in range(12):
        for number in range(MAX_FILES_PER_RULE):
            add_image(data, f"{rule}_{number}")
            findings.append(_finding(f"{rule}_{number}.jpg", f"rule_{rule}", None))
    found = _write(data, tmp_path / "out", findings, [])
    assert len(found) == MAX_THUMBNAILS
    assert {pictured.file.partition("_")[0] for pictured in found[:12]} == {str(rule) for rule in range(12)}


def test_a_full_disk_leaves_no_picture_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ThumbnailWriter, "add", fail)
    data = tmp_path / "data"
    add_image(data, "a")
    folder = IngestionFolder(tmp_path)
    report = make_report([make_record("a.jpg")], findings=(_finding("a.xml"),))
    write_finding_pictures(DataSet(str(data)), folder, report, [make_record("a.jpg")], max_image_pixels=LIMIT)
    assert not folder.thumbnails.exists() and not folder.pictures.exists()
    assert "No space left" in caplog.text


def test_a_name_that_is_not_unicode_costs_the_pictures_only(tmp_path: Path) -> None:
    data, name = tmp_path / "data", "caf\udce9.jpg"
    add_image(data, "a").rename(data / name)
    folder = IngestionFolder(tmp_path)
    report = make_report(findings=(_finding(name, "image_not_annotated", None),))
    write_finding_pictures(DataSet(str(data)), folder, report, [], max_image_pixels=LIMIT)
    assert not folder.thumbnails.exists() and not folder.pictures.exists()


def test_a_store_that_cannot_be_read_costs_the_pictures_only(tmp_path: Path, s3_folder: str) -> None:
    folder = IngestionFolder(tmp_path)
    report = make_report([make_record("a.jpg")], findings=(_finding("a.xml"),))
    data = DataSet(s3_folder, {"a.jpg": StoredObject("a.jpg", 9, Revision("gone"))})
    write_finding_pictures(data, folder, report, [make_record("a.jpg")], max_image_pixels=LIMIT)
    assert not folder.thumbnails.exists() and not folder.pictures.exists()
