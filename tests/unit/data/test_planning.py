"""reefline/data/splitting.py, planning.py and shards.py."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reefline.data.image_record import EVAL, TEST, TRAIN, TRAIN_OR_EVAL, UNASSIGNED, ImageRecord
from reefline.data.inspection import ImageLimits, Inspection, inspect_candidate
from reefline.data.matching import Candidate
from reefline.data.planning import IngestionPlan, Shard, plan_ingestion, sort_findings
from reefline.data.shards import write_shard
from reefline.data.splitting import assign_splits, split_of_content
from reefline.errors import DataError
from reefline.findings import Action, Finding
from reefline.formats.tf_example import IngestedObject, read_examples
from reefline.settings import IngestionSettings
from reefline.structures.label_map import LabelMap
from tests.factories import (
    add_image,
    encode_image,
    make_jpeg,
    make_object,
    make_object_record,
    make_pixels,
    make_record,
)
from tests.factories_acquisition import make_origin


def _sha256(seed: int) -> str:
    return hashlib.sha256(str(seed).encode()).hexdigest()


def _records(count: int, *, split: str = UNASSIGNED, label: str = "cat") -> list[ImageRecord]:
    objects = (make_object_record(label),)
    return [make_record(f"{i:03d}.jpg", split=split, sha256=_sha256(i), objects=objects) for i in range(count)]


def _plan(
    records: Iterable[ImageRecord],
    *,
    findings: tuple[Finding, ...] = (),
    names_splits: bool = False,
    label_map: LabelMap | None = None,
    **settings: object,
) -> IngestionPlan:
    inspections = [Inspection(record, (), len(record.objects)) for record in records]
    return plan_ingestion(
        inspections,
        IngestionSettings(**settings),
        label_map,
        matching_findings=findings,
        names_splits=names_splits,
    )


@given(st.lists(st.integers(), min_size=3, max_size=60, unique=True), st.integers(0, 3))
def test_adding_images_moves_none(seeds: list[int], added: int) -> None:
    splits = {seed: split_of_content(_sha256(seed), eval_fraction=0.3, test_fraction=0.2) for seed in seeds}
    records = [make_record(f"{seed}.jpg", split=UNASSIGNED, sha256=_sha256(seed)) for seed in seeds]
    if set(splits.values()) >= {TRAIN, EVAL}:
        for some in (records[: len(records) - added], records):
            if {splits[int(r.image[:-4])] for r in some} >= {TRAIN, EVAL}:
                assigned = assign_splits(some, eval_fraction=0.3, test_fraction=0.2)
                assert [r.split for r in assigned] == [splits[int(r.image[:-4])] for r in some]


def test_fractions_are_met_and_growing_eval_takes_from_train_alone() -> None:
    hashes = [_sha256(seed) for seed in range(4000)]
    small = [split_of_content(sha, eval_fraction=0.2, test_fraction=0.1) for sha in hashes]
    large = [split_of_content(sha, eval_fraction=0.3, test_fraction=0.1) for sha in hashes]
    assert small.count(EVAL) == pytest.approx(800, abs=80)
    assert small.count(TEST) == pytest.approx(400, abs=60)
    moves = {(before, after) for before, after in zip(small, large, strict=True) if before != after}
    assert moves == {(TRAIN, EVAL)}


def test_a_tiny_data_set_fills_an_empty_split() -> None:
    for seeds in ((0, 1), (0, 1, 2), (1, 2, 3, 4)):
        for eval_fraction in (0.0001, 0.9999):
            records = [make_record(f"{s}.jpg", split=UNASSIGNED, sha256=_sha256(s)) for s in seeds]
            assigned = assign_splits(records, eval_fraction=eval_fraction, test_fraction=0.0)
            assert {record.split for record in assigned} == {TRAIN, EVAL}


def test_duplicates_stay_together_and_listed_splits_are_kept() -> None:
    twins = [make_record(f"{i}.jpg", split=UNASSIGNED, sha256=_sha256(i // 4)) for i in range(8)]
    for fraction in (0.0001, 0.5, 0.9999):
        assigned = assign_splits(twins, eval_fraction=fraction, test_fraction=0.0)
        assert len({record.split for record in assigned[:4]}) == len({record.split for record in assigned[4:]}) == 1
    listed = [*_records(3, split=TRAIN), make_record("e.jpg", split=EVAL)]
    assert [r.split for r in assign_splits(listed, eval_fraction=0.9, test_fraction=0.0)] == [TRAIN] * 3 + [EVAL]


def test_the_plan_does_not_depend_on_the_order_of_inspection() -> None:
    records = _records(40)
    assert _plan(records, images_per_shard=7) == _plan(reversed(records), images_per_shard=7)


def test_shards_hold_every_image_once() -> None:
    plan = _plan(_records(40), images_per_shard=7)
    assert sorted(record.image for record in plan.records) == [f"{i:03d}.jpg" for i in range(40)]
    assert all(0 < len(shard.records) <= 7 for shard in plan.shards)
    assert all(record.split == shard.split for shard in plan.shards for record in shard.records)
    train = [shard.file_name for shard in plan.shards if shard.split == TRAIN]
    assert train == [f"data_tfrecord-{i:05d}-of-{len(train):05d}.gz" for i in range(len(train))]


def test_the_label_map_is_sorted_unless_one_is_given() -> None:
    records = [
        *_records(20, label="dog"),
        *(make_record(f"x{i}.jpg", split="", sha256=_sha256(99 + i)) for i in (1, 2)),
    ]
    assert _plan(records).label_map.names == ("cat", "dog")
    given_map = LabelMap(("emu", "dog", "cat"))
    plan = _plan(records, label_map=given_map)
    assert plan.label_map == given_map
    assert plan.report.splits["train"].per_class["emu"] == 0


def test_the_test_split_exists_only_with_images() -> None:
    assert set(_plan(_records(40)).report.splits) == {TRAIN, EVAL}
    assert set(_plan(_records(40), test_fraction=0.2).report.splits) == {TRAIN, EVAL, TEST}
    listed = [*_records(30, split=TRAIN_OR_EVAL)]
    assert set(_plan(listed, test_fraction=0.2, names_splits=True).report.splits) == {TRAIN, EVAL}


def test_the_report_counts() -> None:
    records = [*_records(9, split=TRAIN), make_record("e.jpg", split=EVAL, objects=())]
    dropped = Finding("z.jpg", None, "image_unreadable", "?", Action.DROPPED_IMAGE)
    report = _plan(records, findings=(dropped,), max_rejected_fraction=0.1).report
    assert report.max_boxes_per_image == 1
    assert (report.splits[TRAIN].images, report.splits[TRAIN].boxes) == (9, 9)
    assert (report.splits[EVAL].images, report.splits[EVAL].boxes) == (1, 0)
    assert report.findings == (dropped,)


def test_the_report_counts_images_by_license() -> None:
    origins = {"000.jpg": make_origin(license="CC0 1.0"), "left-out.jpg": make_origin()}
    inspections = [Inspection(record, (), 1) for record in _records(3)]
    plan = plan_ingestion(
        inspections, IngestionSettings(), None, matching_findings=(), names_splits=False, origins=origins
    )
    assert plan.report.licenses == {"unknown": 2, "CC0 1.0": 1}
    assert _plan(_records(3)).report.licenses == {}


@pytest.mark.parametrize(
    ("action", "rejected", "stops"),
    [
        pytest.param(Action.DROPPED_IMAGE, 1, False, id="few-images"),
        pytest.param(Action.DROPPED_IMAGE, 2, True, id="many-images"),
        pytest.param(Action.DROPPED_BOX, 1, False, id="few-boxes"),
        pytest.param(Action.DROPPED_BOX, 2, True, id="many-boxes"),
        pytest.param(Action.FIXED, 9, False, id="repaired"),
    ],
)
def test_more_than_the_allowed_fraction_stops(action: Action, rejected: int, stops: bool) -> None:
    findings = tuple(Finding(f"{i}.jpg", None, "box_degenerate", "bad", action) for i in range(rejected))
    if not stops:
        assert _plan(_records(50), findings=findings).report.findings == findings
        return
    with pytest.raises(
        DataError, match=r"are rejected, more than data\.max_rejected_fraction allows \(0\.02\)"
    ) as error:
        _plan(_records(50), findings=findings)
    assert error.value.problems[1:] == ("0.jpg: bad [box_degenerate]", "1.jpg: bad [box_degenerate]")
    assert error.value.findings == findings


def test_a_long_list_of_problems_is_cut_but_not_the_findings() -> None:
    findings = tuple(Finding(f"{i}.jpg", None, "image_unreadable", "bad", Action.DROPPED_IMAGE) for i in range(70))
    with pytest.raises(DataError, match="70 of 120 images") as error:
        _plan(_records(50), findings=findings)
    assert error.value.problems[-1].startswith("… and 20 more")
    assert len(error.value.findings) == 70


@pytest.mark.parametrize(
    ("records", "lists", "message"),
    [
        pytest.param(_records(1), False, "nothing to split: 1 usable image", id="one-image"),
        pytest.param(
            [make_record(n, split="", sha256=_sha256(1)) for n in "ab"], False, "nothing to split", id="twins"
        ),
        pytest.param(_records(5, split=EVAL), True, "the train split is empty: change the lists", id="no-train"),
        pytest.param(_records(5, split=TEST), True, "the train split is empty", id="test-alone"),
        pytest.param([make_record("a.jpg", objects=())], False, "no box is left", id="no-boxes"),
    ],
)
def test_data_that_cannot_be_trained_on_stops(records: list[ImageRecord], lists: bool, message: str) -> None:
    with pytest.raises(DataError, match=message):
        _plan(records, names_splits=lists)


def test_findings_are_sorted_with_the_files_own_first() -> None:
    def finding(file: str, index: int | None) -> Finding:
        return Finding(file, index, "r", "m", Action.KEPT)

    expected = (finding("a", None), finding("a", 0), finding("a", 10), finding("b", None))
    assert sort_findings(reversed(expected)) == expected


def _inspected(folder: Path, image: str) -> ImageRecord:
    candidate = Candidate(image, image.rpartition(".")[0] + ".xml", TRAIN)
    record = inspect_candidate(folder, candidate, ImageLimits(10**8), None).record
    assert record is not None
    return record


def test_a_shard_is_written_as_planned(tmp_path: Path) -> None:
    good = add_image(tmp_path, "good", objects=[make_object("dog", difficult=True, truncated=True, pose="Left")])
    add_image(tmp_path, "grey", suffix=".png", image_bytes=encode_image(make_pixels(), "PNG", mode="L"))
    shard = Shard(TRAIN, 0, 1, (_inspected(tmp_path, "good.jpg"), _inspected(tmp_path, "grey.png")))
    path = write_shard(tmp_path, tmp_path / "out" / "Split-train", shard, LabelMap(("cat", "dog")))
    first, second = read_examples([path])
    assert path.name == "data_tfrecord-00000-of-00001.gz"
    assert [p for p in (tmp_path / "out").rglob("*") if p.is_file()] == [path]
    assert first.encoded_jpeg == good.read_bytes()
    box = make_object().box_xyxy_px
    assert first.source_id == "good.jpg"
    assert first.objects == (IngestedObject(box, 2, "dog", difficult=True, truncated=True, pose="Left"),)
    assert first.sha256 == hashlib.sha256(good.read_bytes()).hexdigest()
    assert second.encoded_jpeg[:2] == b"\xff\xd8"
    assert (second.width_px, second.height_px) == (64, 48)
    assert second.objects == (IngestedObject(box, 1, "cat"),)


def test_an_image_changed_since_inspection_stops_and_leaves_no_file(tmp_path: Path) -> None:
    path = add_image(tmp_path)
    add_image(tmp_path, "b", seed=5)
    shard = Shard(TRAIN, 0, 1, (_inspected(tmp_path, "b.jpg"), _inspected(tmp_path, "a.jpg")))
    path.write_bytes(make_jpeg(seed=9))
    with pytest.raises(DataError, match=r"a\.jpg: changed since it was inspected"):
        write_shard(tmp_path, tmp_path / "out" / "Split-train", shard, LabelMap(("cat",)))
    path.unlink()
    with pytest.raises(DataError, match=r"a\.jpg: can no longer be read"):
        write_shard(tmp_path, tmp_path / "out" / "Split-train", shard, LabelMap(("cat",)))
    assert not [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
