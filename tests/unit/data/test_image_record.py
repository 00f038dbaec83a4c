"""Records of images, as they move between processes and files."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from reefline.data.image_record import ImageRecord, read_records, write_records
from tests.factories import make_object_record, make_record

RECORDS = [
    pytest.param(make_record(objects=()), id="no-objects"),
    pytest.param(make_record(), id="one-object"),
    pytest.param(
        make_record(
            objects=(
                make_object_record("dog", (0.5, 1, 7.25, 9), index=3)._replace(difficult=True, pose="Left"),
                make_object_record("cat", index=5)._replace(truncated=True),
            )
        ),
        id="two-objects",
    ),
]


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_moves_between_processes(record: ImageRecord) -> None:
    moved = pickle.loads(pickle.dumps(record))
    assert moved == record
    assert [type(item) for item in (moved, *moved.objects)] == [type(item) for item in (record, *record.objects)]
    assert [item.box_xyxy_px.width_px for item in moved.objects] == [
        item.box_xyxy_px.width_px for item in record.objects
    ]


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_is_read_back_from_a_file(record: ImageRecord, tmp_path: Path) -> None:
    write_records(tmp_path / "records.jsonl", [record, record])
    assert list(read_records(tmp_path / "records.jsonl")) == [record, record]
