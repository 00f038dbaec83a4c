"""Checkpoints to start from: paths, folders, archives, and a real server on the loopback."""

import functools
import hashlib
import http.server
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reefline.errors import CheckpointError
from reefline.od_api.fine_tune import resolve_checkpoint
from reefline.settings import FineTuneCheckpoint


@pytest.fixture
def zoo_folder(tmp_path: Path) -> Path:
    checkpoint = tmp_path / "zoo" / "ssd_something" / "checkpoint"
    checkpoint.mkdir(parents=True)
    (checkpoint / "ckpt-0.index").write_bytes(b"index")
    (checkpoint / "ckpt-0.data-00000-of-00001").write_bytes(b"data")
    return tmp_path / "zoo"


@pytest.fixture
def archive(zoo_folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / "served" / "ssd_something.tar.gz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as file:
        file.add(zoo_folder / "ssd_something", "ssd_something")
    return path


@pytest.fixture
def server_url(archive: Path) -> Iterator[str]:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(archive.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def resolve(source: object, tmp_path: Path, digest: str | None = None) -> str:
    return resolve_checkpoint(FineTuneCheckpoint(source=str(source), sha256=digest), tmp_path / "cache")


def test_prefix_is_taken_as_it_is(zoo_folder: Path, tmp_path: Path) -> None:
    prefix = zoo_folder / "ssd_something" / "checkpoint" / "ckpt-0"
    assert resolve(prefix, tmp_path) == str(prefix)


def test_folder_of_the_zoo_holds_its_checkpoint(zoo_folder: Path, tmp_path: Path) -> None:
    assert resolve(zoo_folder, tmp_path).endswith("checkpoint/ckpt-0")


def test_archive_is_unpacked_once(archive: Path, tmp_path: Path) -> None:
    prefix = resolve(archive, tmp_path, sha256(archive))
    assert Path(f"{prefix}.index").read_bytes() == b"index"
    stamp = Path(f"{prefix}.index").stat().st_mtime_ns
    assert resolve(archive, tmp_path) == prefix
    assert Path(f"{prefix}.index").stat().st_mtime_ns == stamp


def test_url_is_downloaded_and_kept(server_url: str, archive: Path, tmp_path: Path) -> None:
    digest = sha256(archive)
    prefix = resolve(f"{server_url}/{archive.name}", tmp_path, digest)
    assert Path(f"{prefix}.data-00000-of-00001").read_bytes() == b"data"
    archive.unlink()
    assert resolve(f"{server_url}/{archive.name}", tmp_path, digest) == prefix


def test_wrong_hash_leaves_nothing_behind(server_url: str, archive: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"has sha256 {sha256(archive)}, expected {'0' * 64}"):
        resolve(f"{server_url}/{archive.name}", tmp_path, "0" * 64)
    assert list((tmp_path / "cache").iterdir()) == []


def test_missing_url_leaves_nothing_behind(server_url: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"cannot be downloaded: .*404"):
        resolve(f"{server_url}/nothing.tar.gz", tmp_path, "0" * 64)
    assert list((tmp_path / "cache").iterdir()) == []


def test_file_url_needs_no_hash(archive: Path, tmp_path: Path) -> None:
    assert resolve(archive.as_uri(), tmp_path).endswith("ckpt-0")


def test_missing_path(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nothing.tar.gz does not exist; expected"):
        resolve(tmp_path / "nothing.tar.gz", tmp_path)


def test_archive_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "notes.tar.gz").write_text("not an archive")
    with pytest.raises(CheckpointError, match=r"notes.tar.gz is not a readable tar archive"):
        resolve(tmp_path / "notes.tar.gz", tmp_path)
    assert not any((tmp_path / "cache").iterdir())


def test_folder_without_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        resolve(tmp_path / "empty", tmp_path)


def test_folder_with_several_checkpoints_asks_which(tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    for name in ("ckpt-1", "ckpt-2"):
        (tmp_path / "two" / f"{name}.index").write_bytes(b"")
    with pytest.raises(CheckpointError, match="name one: ckpt-1, ckpt-2"):
        resolve(tmp_path / "two", tmp_path)


def test_archive_that_reaches_outside_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evil.txt").write_text("x")
    path = tmp_path / "evil.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        file.add(tmp_path / "evil.txt", "../../outside.txt")
    with pytest.raises(CheckpointError, match="outside"):
        resolve(path, tmp_path)
    assert not (tmp_path.parent / "outside.txt").exists()
