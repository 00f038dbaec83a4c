from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from reefline.data.fingerprint import fingerprint_data, provide_locally
from reefline.data.layouts import list_data_files
from reefline.data.remote_data import list_remote_data
from reefline.errors import DataError, StorageError
from reefline.settings import IngestionSettings
from reefline.storage.location import Location
from reefline.storage.opening import open_storage
from reefline.storage.transfer import upload_tree

SETTINGS = IngestionSettings()
FILES = (
    "VOC/JPEGImages/a.jpg",
    "VOC/JPEGImages/b é#.png",
    "VOC/Annotations/a.xml",
    "VOC/ImageSets/Main/train.txt",
    "VOC/SegmentationClass/a.png",
    ".cache/c.jpg",
    "VOC/JPEGImages/.hidden.jpg",
    "notes.txt",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}")
    return tmp_path / "data"


@pytest.fixture
def uri(folder: Path, s3_folder: str) -> str:
    upload_tree(folder, open_storage(f"{s3_folder}/data"))
    return f"{s3_folder}/data"


@pytest.mark.parametrize(
    "folders",
    [
        pytest.param({"image_dir": None, "annotation_dir": None}, id="everywhere"),
        pytest.param({"image_dir": "VOC/JPEGImages", "annotation_dir": "VOC/Annotations"}, id="narrowed"),
    ],
)
def test_the_same_files_as_in_a_folder(folder: Path, uri: str, folders: dict[str, str | None]) -> None:
    remote = list_remote_data(Location.parse(uri), **folders)
    assert remote.files == list_data_files(folder, **folders)
    assert remote.files.images == ("VOC/JPEGImages/a.jpg", "VOC/JPEGImages/b é#.png")


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        pytest.param(
            "nothing", IngestionSettings(image_dir="photos"), "photos: no such folder: data.image_dir", id="dir"
        ),
        pytest.param("empty", SETTINGS, "holds neither images nor VOC annotations", id="empty"),
        pytest.param("no-xml", SETTINGS, "holds 2 images and no annotation", id="no-annotation"),
    ],
)
def test_unusable_data_is_refused_as_in_a_folder(
    uri: str, change: str, settings: IngestionSettings, message: str
) -> None:
    if change == "empty":
        uri = f"{uri}/elsewhere"
    if change == "no-xml":
        open_storage(uri).delete("VOC/Annotations/a.xml")
    with pytest.raises(DataError, match=message):
        fingerprint_data(uri, settings, None)


def test_names_and_contents_count_and_not_the_place(folder: Path, uri: str, s3_folder: str, tmp_path: Path) -> None:
    before = fingerprint_data(uri, SETTINGS, None)
    upload_tree(folder, open_storage(f"{s3_folder}/copy"))
    assert fingerprint_data(f"{s3_folder}/copy", SETTINGS, None) == before
    storage = open_storage(uri)
    storage.write("notes.txt", b"not ingested")
    assert fingerprint_data(uri, SETTINGS, None) == before
    (tmp_path / "labels.pbtxt").write_text("item {}")
    with_labels = IngestionSettings(label_map=str(tmp_path / "labels.pbtxt"))
    assert fingerprint_data(uri, with_labels, None) != before
    # The same size: only the ETag shows it.
    image = storage.read("VOC/JPEGImages/a.jpg")
    assert image is not None
    storage.write("VOC/JPEGImages/a.jpg", image.data[::-1])
    changed = fingerprint_data(uri, SETTINGS, None)
    assert changed != before
    storage.write("VOC/JPEGImages/new.jpg", b"new")
    assert fingerprint_data(uri, SETTINGS, None) not in (before, changed)


def test_a_fingerprint_of_a_listing_is_never_that_of_a_folder(folder: Path, uri: str, tmp_path: Path) -> None:
    local = fingerprint_data(folder, SETTINGS, None)
    assert local == fingerprint_data(f"file://{folder}", SETTINGS, tmp_path / "memory.db")
    assert local != fingerprint_data(uri, SETTINGS, None)


def test_the_copy_holds_what_is_ingested_and_nothing_else(folder: Path, uri: str, tmp_path: Path) -> None:
    copy = provide_locally(uri, SETTINGS, fingerprint_data(uri, SETTINGS, None), tmp_path / "copy")
    shutil.rmtree(folder / ".cache")
    for name in ("VOC/SegmentationClass/a.png", "VOC/JPEGImages/.hidden.jpg", "notes.txt"):
        (folder / name).unlink()
    written = {path.relative_to(copy): path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    assert written == {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_is_used_where_it_is(folder: Path, tmp_path: Path) -> None:
    assert provide_locally(str(folder), SETTINGS, "any", tmp_path / "copy") == folder
    assert not (tmp_path / "copy").exists()


def test_data_that_changed_since_the_fingerprint_is_not_ingested(uri: str, tmp_path: Path) -> None:
    fingerprint = fingerprint_data(uri, SETTINGS, None)
    open_storage(uri).write("VOC/Annotations/a.xml", b"edited")
    with pytest.raises(DataError, match=f"{uri}: the data changed since this run looked at it; run again"):
        provide_locally(uri, SETTINGS, fingerprint, tmp_path / "copy")


def test_unknown_scheme(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="hdfs:// is not supported"):
        fingerprint_data("hdfs://host/data", SETTINGS, None)
