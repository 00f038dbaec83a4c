from __future__ import annotations

from pathlib import Path

import pytest

from reefline.data.data_parts import DataSet
from reefline.errors import StorageError
from reefline.storage.opening import open_storage


def test_a_folder_is_used_where_it_is(tmp_path: Path) -> None:
    with DataSet(str(tmp_path)).part(["a.jpg"]).provide() as folder:
        assert folder == tmp_path


def test_part_of_a_store_is_copied_for_as_long_as_it_is_needed(s3_folder: str) -> None:
    storage = open_storage(s3_folder)
    for name in ("images/a.jpg", "images/b.jpg"):
        storage.write(name, name.encode())
    data = DataSet(s3_folder, {stored.name: stored for stored in storage.list_objects()})
    with data.part(["images/a.jpg", "missing.jpg"]).provide() as folder:
        assert [path.name for path in folder.rglob("*.jpg")] == ["a.jpg"]
        assert (folder / "images" / "a.jpg").read_bytes() == b"images/a.jpg"
    assert not folder.exists()
    part = data.part(["images/b.jpg"])
    storage.write("images/b.jpg", b"edited")
    with pytest.raises(StorageError, match=r"images/b\.jpg: changed while it was read; run again"), part.provide():
        pass
