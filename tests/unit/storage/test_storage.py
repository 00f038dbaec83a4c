"""Every kind of storage does the same: a local folder, S3 (moto) and Google's dialect of the same server."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest

from reefline.errors import StorageError
from reefline.storage.interface import Storage, StoredObject
from reefline.storage.opening import open_storage
from reefline.storage.transfer import delete_tree, download_objects, download_tree, upload_tree
from tests.s3_server import BUCKET, S3Server

# Listings of S3 come in pages of 1,000.
MORE_THAN_A_PAGE = 1_003


@pytest.fixture(params=["local", "s3", "minio", "gs"])
def storage(
    request: pytest.FixtureRequest, tmp_path: Path, s3_server: S3Server, s3_folder: str, monkeypatch: pytest.MonkeyPatch
) -> Storage:
    if request.param == "local":
        return open_storage(tmp_path / "store")
    monkeypatch.setenv("GOOGLE_BASE_URL", s3_server.url)
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", "any")
    return open_storage(f"{request.param}://{BUCKET}/{uuid.uuid4().hex}")


def names(objects: list[StoredObject]) -> list[str]:
    return [stored.name for stored in objects]


def content(storage: Storage, name: str) -> bytes | None:
    found = storage.read(name)
    return None if found is None else found.data


def test_what_is_written_is_read(storage: Storage) -> None:
    assert storage.read("a/b") is None
    storage.write("a/b", b"one")
    storage.write("a/b", b"two")
    assert content(storage, "a/b") == b"two"
    storage.delete("a/b")
    storage.delete("a/b")
    assert storage.read("a/b") is None


def test_only_the_first_creates(storage: Storage) -> None:
    assert storage.create_if_absent("claim", b"mine")
    assert not storage.create_if_absent("claim", b"theirs")
    assert storage.create_if_absent("claim", b"mine"), "an answer that was lost on the way looks like this"
    assert content(storage, "claim") == b"mine"


def test_a_stale_writer_replaces_nothing(storage: Storage) -> None:
    storage.write("CURRENT", b"1")
    read = storage.read("CURRENT")
    assert read is not None
    assert storage.replace_if_match("CURRENT", b"2", read.revision)
    assert not storage.replace_if_match("CURRENT", b"3", read.revision)
    assert content(storage, "CURRENT") == b"2"
    storage.delete("CURRENT")
    assert not storage.replace_if_match("CURRENT", b"3", read.revision)
    assert storage.read("CURRENT") is None


def test_deleting_a_tree_leaves_its_neighbours(storage: Storage) -> None:
    for name in ("tmp/a", "tmp/b/c", "tmpfile"):
        storage.write(name, b"x")
    delete_tree(open_storage(storage.location / "tmp"))
    assert names(storage.list_objects()) == ["tmpfile"]


def test_listings(storage: Storage) -> None:
    assert list(storage.list_objects()) == [] and list(storage.list_children()) == []
    for name in ("b", "a/x é#%.jpg", "a/deep/y", "ab/z"):
        storage.write(name, name.encode())
    assert names(list(storage.list_objects())) == ["a/deep/y", "a/x é#%.jpg", "ab/z", "b"]
    assert names(list(storage.list_objects("a"))) == ["a/deep/y", "a/x é#%.jpg"]
    assert [stored.bytes for stored in storage.list_objects("a")] == [8, len("a/x é#%.jpg".encode())]
    assert list(storage.list_children()) == ["a", "ab", "b"]
    assert list(storage.list_children("a")) == ["deep", "x é#%.jpg"]


def test_trees_of_more_than_a_page(storage: Storage, tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    (source / "deep").mkdir(parents=True)
    for number in range(MORE_THAN_A_PAGE):
        (source / f"f{number}").write_bytes(b"%d" % number)
    # Uploaded in several parts.
    (source / "deep" / "large").write_bytes(os.urandom(11_000_000))
    upload_tree(source, storage)
    assert len(download_tree(storage, copy)) == MORE_THAN_A_PAGE + 1
    written = {path.relative_to(copy): path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    assert written == {path.relative_to(source): path.read_bytes() for path in source.rglob("*") if path.is_file()}


def test_a_download_is_what_was_listed(storage: Storage, tmp_path: Path) -> None:
    storage.write("a", b"before")
    listed = storage.list_objects()
    storage.write("a", b"after!")
    with pytest.raises(StorageError, match="a: changed while it was read; run again"):
        download_objects(storage, listed, tmp_path / "copy")
    storage.delete("a")
    with pytest.raises(StorageError, match="a: deleted while it was read; run again"):
        download_objects(storage, listed, tmp_path / "copy")
    assert not storage.download("a", tmp_path / "other")


def test_a_name_that_leaves_the_folder_is_not_downloaded(storage: Storage, tmp_path: Path) -> None:
    storage.write("a", b"1")
    (listed,) = storage.list_objects()
    evil = StoredObject("../outside", listed.bytes, listed.revision)
    with pytest.raises(StorageError, match=r"'\.\./outside' is not a relative path"):
        download_objects(storage, [evil], tmp_path / "copy")
    assert not (tmp_path / "outside").exists()
