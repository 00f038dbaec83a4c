"""reefline/report/image_list.py: which images a run saw, and what differs between two runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from reefline.data.image_record import ImageRecord, write_records
from reefline.errors import RecordError
from reefline.report.image_list import (
    MAX_NAMED_CHANGES,
    POINTER_FILE,
    ImageChange,
    ImagePointer,
    compare_images,
    keep_image_list,
    read_image_list,
)
from tests.factories import make_object_record, make_record


def _keep(run_folder: Path, *records: ImageRecord) -> str:
    run_folder.mkdir(parents=True, exist_ok=True)
    write_records(run_folder / "records.jsonl", records)
    keep_image_list(run_folder, run_folder / "records.jsonl")
    return ImagePointer.read(run_folder / POINTER_FILE).digest


def test_a_list_is_kept_once_for_all_runs_on_the_same_data(tmp_path: Path) -> None:
    first = _keep(tmp_path / "1", make_record("a.jpg"), make_record("b.jpg"))
    (kept,) = (tmp_path / ".images").iterdir()
    written = kept.stat().st_mtime_ns
    assert _keep(tmp_path / "2", make_record("a.jpg"), make_record("b.jpg")) == first
    assert [path.stat().st_mtime_ns for path in (tmp_path / ".images").iterdir()] == [written]
    assert list(read_image_list(tmp_path, first)) == ["a.jpg", "b.jpg"]
    assert _keep(tmp_path / "3", make_record("a.jpg")) != first


@pytest.mark.parametrize(
    "line",
    ["{", "{}", "[]", "null", '{"objects": [[]]}', "\xff"],
    ids=["cut", "no-keys", "list", "null", "empty-box", "not-utf-8"],
)
def test_damaged_records_are_named(tmp_path: Path, line: str) -> None:
    records = tmp_path / "records.jsonl"
    records.write_bytes(line.encode("latin-1"))
    with pytest.raises(RecordError, match=r"records\.jsonl: damaged \(.+\); run the pipeline again"):
        keep_image_list(tmp_path, records)
    assert not (tmp_path / POINTER_FILE).exists()


@pytest.mark.parametrize(
    ("after", "counts"),
    [
        pytest.param([make_record("a.jpg"), make_record("b.jpg"), make_record("c.jpg")], (1, 0, 0), id="added"),
        pytest.param([make_record("a.jpg")], (0, 1, 0), id="removed"),
        pytest.param([make_record("a.jpg"), make_record("b.jpg", sha256="e" * 64)], (0, 0, 1), id="other-content"),
        pytest.param([make_record("a.jpg"), make_record("b.jpg", split="eval")], (0, 0, 1), id="other-split"),
        pytest.param(
            [make_record("a.jpg"), make_record("b.jpg", objects=(make_object_record("dog"),))],
            (0, 0, 1),
            id="relabelled",
        ),
        pytest.param([make_record("b.jpg"), make_record("a.jpg")], (0, 0, 0), id="only-the-order"),
    ],
)
def test_what_differs(tmp_path: Path, after: list[ImageRecord], counts: tuple[int, int, int]) -> None:
    first = read_image_list(tmp_path, _keep(tmp_path / "1", make_record("a.jpg"), make_record("b.jpg")))
    found = compare_images(first, read_image_list(tmp_path, _keep(tmp_path / "2", *after)))
    assert (found.added, found.removed, found.changed) == counts
    assert found.is_complete and len(found.changes) == sum(counts)


def test_a_change_names_the_image_with_both_marks() -> None:
    found = compare_images({"a": "1", "b": "2"}, {"b": "3", "c": "4"})
    assert found.changes == (ImageChange("a", "1", None), ImageChange("b", "2", "3"), ImageChange("c", None, "4"))


def test_too_many_changes_are_counted_but_not_all_named() -> None:
    found = compare_images({}, {f"{number:05d}": "1" for number in range(MAX_NAMED_CHANGES + 1)})
    assert (found.added, len(found.changes), found.is_complete) == (MAX_NAMED_CHANGES + 1, MAX_NAMED_CHANGES, False)


@pytest.mark.parametrize(
    "content", [pytest.param(b"no gzip", id="not-gzip"), pytest.param(b"\x1f\x8b\x08\x00cut", id="cut-off")]
)
def test_a_damaged_list(tmp_path: Path, content: bytes) -> None:
    digest = _keep(tmp_path / "1", make_record("a.jpg"))
    (tmp_path / ".images" / f"{digest}.jsonl.gz").write_bytes(content)
    with pytest.raises(RecordError, match=r"jsonl\.gz: "):
        read_image_list(tmp_path, digest)


def test_a_missing_list(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot read it"):
        read_image_list(tmp_path, "0" * 16)


def test_a_pointer_names_no_other_file(tmp_path: Path) -> None:
    (tmp_path / POINTER_FILE).write_text('{"digest": "../../../etc/passwd"}')
    with pytest.raises(RecordError, match="digest: damaged"):
        ImagePointer.read(tmp_path / POINTER_FILE)
