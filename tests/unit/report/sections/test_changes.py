"""What changed in the data since the last run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reefline.data.image_record import EVAL, TRAIN
from reefline.report.sections.changes import make_changes_section
from reefline.report.sections.changes_facts import Change, Delta, compare_data
from tests.factories import make_object_record, make_record
from tests.factories_data import write_ingestion
from tests.factories_report import HOSTILE_NAMES

CAT = make_object_record()
DOG = make_object_record("dog", (30, 30, 40, 40), 1)
EMU = make_object_record("emu", (5, 5, 9, 9), 2)


def test_images_come_go_and_are_replaced() -> None:
    before = [make_record("a.jpg"), make_record("gone.jpg", split=EVAL), make_record("b.jpg")]
    now = [make_record("a.jpg"), make_record("new.jpg", objects=(CAT, DOG)), make_record("b.jpg", sha256="f" * 64)]
    changes = compare_data(now, before)
    assert changes.added == (Change("new.jpg", "train, 2 boxes"),)
    assert changes.removed == (Change("gone.jpg", "eval, 1 box"),)
    assert changes.replaced == (Change("b.jpg", "same boxes"),)
    assert not (changes.renamed or changes.moved or changes.relabelled)
    assert changes.splits == (Delta("train", 2, 3), Delta("eval", 1, 0))
    assert changes.classes == (Delta("cat", 3, 3), Delta("dog", 0, 1))
    assert [delta.difference for delta in changes.splits] == [1, -1]


def test_the_same_content_under_another_path_is_renamed() -> None:
    before = [make_record(f"{name}.jpg", sha256="1" * 64) for name in ("a", "b", "c")]
    now = [make_record(f"{name}.jpg", sha256="1" * 64, split=EVAL) for name in ("b", "x", "y", "z")]
    changes = compare_data(now, before)
    assert changes.renamed == (Change("x.jpg", "was a.jpg"), Change("y.jpg", "was c.jpg"))
    assert changes.added == (Change("z.jpg", "eval, 1 box"),)
    assert changes.removed == ()
    assert [change.image for change in changes.moved] == ["b.jpg", "x.jpg", "y.jpg"]
    assert changes.moved[0].what == "train → eval"


@pytest.mark.parametrize(
    ("now", "what"),
    [
        pytest.param((CAT, DOG, make_object_record("cow", (1, 1, 2, 2))), "1 box added", id="added"),
        pytest.param((), "2 boxes removed", id="removed"),
        pytest.param((CAT._replace(label="cow"), DOG), "1 class changed", id="class"),
        pytest.param((CAT._replace(label="dog"), DOG._replace(label="cat")), "2 classes changed", id="swapped"),
        pytest.param((CAT, make_object_record("dog", (31, 30, 40, 40))), "1 box moved or resized", id="moved"),
        pytest.param(
            (CAT._replace(label="cow"), make_object_record("dog", (0, 0, 9, 9)), EMU),
            "1 class changed, 1 box moved or resized, 1 box added",
            id="all",
        ),
        pytest.param((CAT, CAT, DOG), "1 box added", id="a-copy"),
    ],
)
def test_changed_boxes_are_described(now: tuple[object, ...], what: str) -> None:
    changes = compare_data([make_record(objects=now)], [make_record(objects=(CAT, DOG))])
    assert changes.relabelled == (Change("a.jpg", what),)
    assert not changes.is_empty


def test_the_order_of_boxes_and_of_images_does_not_count() -> None:
    one, other = make_record("a.jpg", objects=(CAT, DOG)), make_record("b.jpg")
    assert compare_data([other, one], [one._replace(objects=(DOG, CAT)), other]).is_empty


def _section(tmp_path: Path, now: list[object], before: list[object]) -> str:
    section = make_changes_section(
        write_ingestion(tmp_path / "now", now), write_ingestion(tmp_path / "before", before), "run <1>"
    )
    assert section is not None and section.id == "changes"
    return section.html


def test_nothing_changed_is_a_sentence(tmp_path: Path) -> None:
    records = [make_record("a.jpg"), make_record("b.jpg", split=EVAL)]
    expected = "<p>The data is the same as in run <bdi>run &lt;1&gt;</bdi>.</p>\n"
    assert _section(tmp_path / "same", records, records) == expected
    assert _section(tmp_path / "order", records[::-1], records) == expected
    folder = write_ingestion(tmp_path / "one")
    folder.records.unlink()
    section = make_changes_section(folder, folder, "x")
    assert section is not None and "The data is the same" in section.html


def test_lists_are_folded_and_capped(tmp_path: Path) -> None:
    many = [make_record(f"{number:03d}.jpg") for number in range(70)]
    html = _section(tmp_path, [make_record("a.jpg", split=TRAIN), *many], [make_record("a.jpg", split=EVAL)])
    assert "<summary>70 images added</summary>" in html and "<summary>1 image moved to another split</summary>" in html
    assert html.count('<th scope="row"><bdi>0') == 50
    assert "and 20 more" in html
    assert re.search(r"cat</bdi></th><td class=\"num\">1</td><td class=\"num\">71</td><td class=\"num\">\+70", html)


def test_many_classes_are_capped(tmp_path: Path) -> None:
    objects = tuple(make_object_record(f"class {number}") for number in range(30))
    html = _section(tmp_path, [make_record(objects=objects)], [make_record(objects=())])
    assert "and 10 more classes" in html


@pytest.mark.parametrize("content", [None, "{", "{}", '{"objects": 1}', "[1]", "null"])
def test_nothing_to_compare_with_is_no_section(tmp_path: Path, content: str | None) -> None:
    now, before = write_ingestion(tmp_path / "now"), write_ingestion(tmp_path / "before")
    before.records.unlink()
    if content is not None:
        before.records.write_text(content)
    assert make_changes_section(now, before, "x") is None


def test_names_are_escaped(tmp_path: Path) -> None:
    html = _section(
        tmp_path,
        [make_record(f"{name}.jpg", objects=(make_object_record(name),)) for name in HOSTILE_NAMES],
        [make_record("a.jpg")],
    )
    assert "<script" not in html and "<img" not in html and "<svg" not in html
    assert "x" * 400 not in html
