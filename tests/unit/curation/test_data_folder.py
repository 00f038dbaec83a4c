from __future__ import annotations

from pathlib import Path

import pytest

from reefline.curation.data_folder import FolderKind, find_empty_label_folders, read_data_folder
from reefline.data.image_record import EVAL, TRAIN, UNASSIGNED
from reefline.data.walking import IGNORE_FILE, select_data_paths
from reefline.errors import DataError
from tests.factories import make_jpeg, make_xml


def _add(root: Path, *names: str) -> None:
    for seed, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        content = make_xml() if name.endswith(".xml") else make_jpeg(seed) if name.endswith(".jpg") else b""
        (root / name).write_bytes(content)


def test_annotated_images_have_their_xml_and_split(tmp_path: Path) -> None:
    _add(tmp_path, "JPEGImages/a.jpg", "JPEGImages/b.jpg", "JPEGImages/c.jpg", "Annotations/a.xml", "Annotations/b.xml")
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\n")
    (lists / "val.txt").write_text("b\n")
    folder = read_data_folder(tmp_path)
    assert folder.kind is FolderKind.ANNOTATED
    assert [(each.image, each.xml, each.split, each.label) for each in folder.images] == [
        ("JPEGImages/a.jpg", "Annotations/a.xml", TRAIN, None),
        ("JPEGImages/b.jpg", "Annotations/b.xml", EVAL, None),
        ("JPEGImages/c.jpg", None, UNASSIGNED, None),
    ]
    assert folder.read_annotation(folder.images[2]) is None


def test_folders_are_labels(tmp_path: Path) -> None:
    _add(tmp_path, "cat/a.jpg", "dog/2020/b.jpg")
    folder = read_data_folder(tmp_path)
    assert folder.kind is FolderKind.LABEL_FOLDERS
    assert [each.label for each in folder.images] == ["cat", "dog"]


def test_folders_below_the_images_of_a_voc_data_set_are_labels(tmp_path: Path) -> None:
    _add(tmp_path, "JPEGImages/cat/a.jpg", "JPEGImages/dog/b.jpg")
    folder = read_data_folder(tmp_path)
    assert folder.kind is FolderKind.LABEL_FOLDERS
    assert [each.label for each in folder.images] == ["cat", "dog"]
    # Someone began to annotate: the other images keep their labels.
    _add(tmp_path, "Annotations/a.xml")
    folder = read_data_folder(tmp_path)
    assert folder.kind is FolderKind.ANNOTATED
    assert [each.label for each in folder.images] == ["cat", "dog"]


def test_images_that_lists_leave_out_are_marked(tmp_path: Path) -> None:
    _add(tmp_path, "JPEGImages/a.jpg", "JPEGImages/b.jpg")
    assert [each.is_listed for each in read_data_folder(tmp_path).images] == [True, True]
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Main" / "trainval.txt").write_text("a\n")
    folder = read_data_folder(tmp_path)
    assert [(each.split, each.is_listed) for each in folder.images] == [(UNASSIGNED, True), (UNASSIGNED, False)]


@pytest.mark.parametrize(
    "names",
    [
        ("a.jpg", "cat/b.jpg"),
        ("train/a.jpg", "test/b.jpg"),
        ("images/a.jpg",),
        ("JPEGImages/a.jpg", "JPEGImages/cat/b.jpg"),
    ],
    ids=["root", "splits", "layout", "partly"],
)
def test_other_folders_are_no_labels(tmp_path: Path, names: tuple[str, ...]) -> None:
    _add(tmp_path, *names)
    folder = read_data_folder(tmp_path)
    assert folder.kind is FolderKind.IMAGES
    assert {each.label for each in folder.images} == {None}


def test_ignored_folders_are_left_out(tmp_path: Path) -> None:
    _add(tmp_path, "cat/a.jpg", "duplicates/b.jpg", f"duplicates/{IGNORE_FILE}")
    assert [each.image for each in read_data_folder(tmp_path).images] == ["cat/a.jpg"]


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no images"):
        read_data_folder(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        read_data_folder(tmp_path / "missing")


def test_a_listing_leaves_out_what_a_walk_leaves_out() -> None:
    listed = ["a.jpg", "x/b.jpg", "x/y/c.jpg", f"x/y/{IGNORE_FILE}", ".hidden/d.jpg", IGNORE_FILE]
    assert select_data_paths(listed) == {"a.jpg", "x/b.jpg"}


@pytest.mark.parametrize(
    ("names", "labels", "warning"),
    [
        (("train/a.jpg", "boat/b.jpg"), ["boat", "train"], "train: used as labels, because"),
        (("train/a.jpg", "test/b.jpg", "boat/c.jpg"), ["boat", "test", "train"], "test, train: used as labels"),
        (
            ("cat/a.jpg", "dog/b.jpg", "stray.jpg"),
            ["cat", "dog", None],
            "1 image (stray.jpg) has no label: outside of the",
        ),
        (("a.jpg", "cat/b.jpg"), [None, None], "folders give no labels, because 1 image (a.jpg) is outside"),
        (("train/a.jpg",), [None], "train: gives no label, because the name is that of a split"),
        (("train/cat/a.jpg", "test/cat/b.jpg"), [None, None], "test/cat: gives no label"),
        (("span-1/cat/a.jpg",), [None], "span-1/cat: gives no label"),
        (("day/a.jpg", "day/a.xml", "day/b.jpg", "night/c.jpg"), [None, None, None], "name other classes; 2 images"),
    ],
    ids=[
        "a split's name",
        "splits' names",
        "stray",
        "mostly strays",
        "one split",
        "labels in splits",
        "in a span",
        "other classes",
    ],
)
def test_labels_that_are_unclear_have_a_warning(
    tmp_path: Path, names: tuple[str, ...], labels: list[str | None], warning: str
) -> None:
    _add(tmp_path, *names)
    folder = read_data_folder(tmp_path)
    assert [each.label for each in folder.images] == labels
    assert warning in folder.warnings[0]
    assert all(each.is_listed for each in folder.images)


@pytest.mark.parametrize(
    "names",
    [
        ("span-1/a.jpg", "span-1/a.xml", "span-2/b.jpg"),
        ("span-1/a.jpg", "span-2/b.jpg"),
        ("img/a.jpg", "xml/a.xml"),
        ("day/a.jpg", "day/a.xml", "night/b.jpg", "night/b.xml"),
    ],
    ids=["annotated spans", "spans", "img and xml", "classes are not the folders"],
)
def test_folders_that_only_sort_images_are_no_labels(tmp_path: Path, names: tuple[str, ...]) -> None:
    _add(tmp_path, *names)
    folder = read_data_folder(tmp_path)
    assert {each.label for each in folder.images} == {None}
    assert folder.warnings == ()


def test_annotations_that_name_the_folders_leave_them_labels(tmp_path: Path) -> None:
    _add(tmp_path, "cat/a.jpg", "cat/a.xml", "dog/b.jpg")
    folder = read_data_folder(tmp_path)
    assert folder.kind is FolderKind.ANNOTATED
    assert [each.label for each in folder.images] == ["cat", "dog"]


def test_empty_label_folders_are_named(tmp_path: Path) -> None:
    _add(tmp_path, "cat/a.jpg", f"old/{IGNORE_FILE}")
    for name in ("bird", "Annotations", "span-2", ".hidden"):
        (tmp_path / name).mkdir()
    assert find_empty_label_folders(read_data_folder(tmp_path)) == ["bird"]
    prepared = tmp_path / "prepared"
    _add(prepared, "JPEGImages/cat/a.jpg", "JPEGImages/cat/b.jpg")
    for name in ("JPEGImages/bird", "ImageSets"):
        (prepared / name).mkdir()
    assert find_empty_label_folders(read_data_folder(prepared)) == ["bird"]
    # Without labels, no folder is one.
    _add(tmp_path / "plain", "a.jpg")
    (tmp_path / "plain" / "bird").mkdir()
    assert find_empty_label_folders(read_data_folder(tmp_path / "plain")) == []


def test_images_that_are_not_read_are_a_finding(tmp_path: Path) -> None:
    _add(tmp_path, "a.jpg", "b.HEIC", "c.heic", "notes.txt")
    assert [finding.message for finding in read_data_folder(tmp_path).findings] == [
        "2 .heic files are not read: convert them to JPEG"
    ]
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(DataError, match=r"holds no images\n.*2 \.heic files are not read"):
        read_data_folder(tmp_path)
