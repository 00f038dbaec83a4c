from pathlib import Path

import pytest

from reefline.curation.data_folder import FolderKind, read_data_folder
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


@pytest.mark.parametrize(
    "names",
    [("a.jpg", "cat/b.jpg"), ("train/a.jpg", "test/b.jpg"), ("images/a.jpg",)],
    ids=["root", "splits", "layout"],
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
