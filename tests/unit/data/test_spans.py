from pathlib import Path

import pytest

from reefline.data.image_record import EVAL, TEST, TRAIN, TRAIN_OR_EVAL, UNASSIGNED
from reefline.data.layouts import list_data_files
from reefline.data.matching import discover
from reefline.data.spans import describe_spans, group_by_span, join_folders, span_of
from reefline.data.splitting import assign_splits
from reefline.errors import UsageError
from tests.factories import add_image, make_record


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("path", "span"),
    [
        ("span-1/a.jpg", 1),
        ("Span_12/JPEGImages/a.jpg", 12),
        ("span003/a.jpg", 3),
        ("spanish/a.jpg", None),
        ("x/span-1/a.jpg", None),
        ("span-1.jpg", None),
    ],
    ids=["dash", "underscore", "zeros", "a word", "below", "a file"],
)
def test_the_first_folder_names_the_span(path: str, span: int | None) -> None:
    assert span_of(path) == span


def test_spans_come_by_number(tmp_path: Path) -> None:
    for number in (10, 2):
        add_image(tmp_path / f"span-{number}", seed=number)
    groups = group_by_span(list_data_files(tmp_path))
    assert [group.images for group in groups] == [("span-2/a.jpg",), ("span-10/a.jpg",)]


def test_each_span_has_its_own_splits(tmp_path: Path) -> None:
    add_image(tmp_path / "span-1", "a", seed=1)
    add_image(tmp_path / "span-1", "b", seed=2)
    lists = tmp_path / "span-1" / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\n")
    (lists / "val.txt").write_text("b\n")
    add_image(tmp_path / "span-2", "a", seed=3)
    add_image(tmp_path / "span-3" / "train", "a", seed=4)
    add_image(tmp_path / "span-3" / "valid", "a", seed=5)
    discovery = discover(tmp_path, list_data_files(tmp_path))
    assert {each.image: each.split for each in discovery.candidates} == {
        "span-1/a.jpg": TRAIN,
        "span-1/b.jpg": EVAL,
        "span-2/a.jpg": UNASSIGNED,
        "span-3/train/a.jpg": TRAIN,
        "span-3/valid/a.jpg": EVAL,
    }
    assert discovery.names_splits
    assert {finding.rule for finding in discovery.findings} == {"split_by_folder"}


def test_one_folder_stays_as_it_is(tmp_path: Path) -> None:
    assert join_folders([tmp_path]) == tmp_path


def test_several_folders_become_spans_in_their_order(tmp_path: Path) -> None:
    for number, name in enumerate(("old", "new")):
        add_image(tmp_path / name, seed=number)
    folders = [tmp_path / "old", tmp_path / "new"]
    joined = join_folders(folders)
    assert list_data_files(joined).images == ("span-1/a.jpg", "span-2/a.jpg")
    assert (joined / "span-2" / "a.jpg").read_bytes() == (tmp_path / "new" / "a.jpg").read_bytes()
    assert join_folders(folders) == joined
    assert join_folders(folders[::-1]) != joined
    assert describe_spans([Path("old"), Path("new")]) == "span-1 is old, span-2 is new"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a", "missing"), "--data .*missing: no such folder"),
        (("a", "file"), "--data .*file: not a folder"),
        (("a", "a"), "the same images twice"),
        (("a", "a/b"), "the same images twice"),
    ],
    ids=["missing", "a file", "the same", "inside"],
)
def test_folders_that_cannot_be_joined(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=message):
        join_folders([tmp_path / name for name in names])


def test_lists_at_the_root_divide_spans_without_lists(tmp_path: Path) -> None:
    for number in (1, 2):
        add_image(tmp_path / f"span-{number}", f"i{number}", seed=number)
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("i1\n")
    (lists / "val.txt").write_text("i2\n")
    discovery = discover(tmp_path, list_data_files(tmp_path))
    assert [each.split for each in discovery.candidates] == [TRAIN, EVAL]
    assert discovery.findings == ()


def test_test_images_stay_when_a_span_with_its_own_splits_arrives() -> None:
    records = [
        make_record(f"span-1/{index}.jpg", split=UNASSIGNED, sha256=f"{index * 328:04x}".ljust(64, "0"))
        for index in range(200)
    ]
    alone = assign_splits(records, eval_fraction=0.2, test_fraction=0.2)
    named = [make_record("span-2/a.jpg", split=TRAIN), make_record("span-2/b.jpg", split=TRAIN_OR_EVAL)]
    grown = assign_splits([*records, *named], eval_fraction=0.2, test_fraction=0.2)
    assert grown[: len(records)] == alone
    assert TEST in {record.split for record in alone}
    assert TEST not in {record.split for record in grown[len(records) :]}
