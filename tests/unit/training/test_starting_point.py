"""Checkpoints to start from: paths, folders, archives, and a real server on the loopback."""

import hashlib
import resource
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from reefline.errors import CheckpointError
from reefline.settings import CheckpointType, Start, TrainerSettings
from reefline.training.start_files import StartCache
from reefline.training.starting_point import StartingPoint, choose_start
from tests.web_server import Site, serve


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
def site(archive: Path) -> Iterator[Site]:
    with serve(Site(archive.read_bytes(), etag='"v1"')) as served:
        yield served


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def settings(**changes: object) -> TrainerSettings:
    return TrainerSettings.model_validate({"model": "ssd_mobilenet_v2_tiny", **changes})


def cache(tmp_path: Path) -> StartCache:
    return StartCache(tmp_path / "cache", local_folders=())


def resolve(source: object, tmp_path: Path, digest: str | None = None) -> str:
    return str(choose_start(settings(start={"source": str(source), "sha256": digest}), "", cache(tmp_path)).prefix)


def test_a_prefix_is_used_unchanged(zoo_folder: Path, tmp_path: Path) -> None:
    prefix = zoo_folder / "ssd_something" / "checkpoint" / "ckpt-0"
    assert resolve(prefix, tmp_path) == str(prefix)


def test_the_checkpoint_in_a_zoo_folder_is_found(zoo_folder: Path, tmp_path: Path) -> None:
    assert resolve(zoo_folder, tmp_path).endswith("checkpoint/ckpt-0")


def test_archive_is_unpacked_once(archive: Path, tmp_path: Path) -> None:
    prefix = resolve(archive, tmp_path, sha256(archive))
    assert Path(f"{prefix}.index").read_bytes() == b"index"
    stamp = Path(f"{prefix}.index").stat().st_mtime_ns
    assert resolve(archive, tmp_path) == prefix
    assert Path(f"{prefix}.index").stat().st_mtime_ns == stamp


def test_url_is_downloaded_and_kept(site: Site, archive: Path, tmp_path: Path) -> None:
    prefix = resolve(site.url, tmp_path, sha256(archive))
    assert Path(f"{prefix}.data-00000-of-00001").read_bytes() == b"data"
    assert resolve(site.url, tmp_path, sha256(archive)) == prefix
    assert len(site.requests) == 1


def test_a_cut_download_is_resumed(site: Site, archive: Path, tmp_path: Path) -> None:
    site.cuts = [50]
    assert resolve(site.url, tmp_path, sha256(archive)).endswith("ckpt-0")
    assert site.asked_ranges == [None, "bytes=50-"]


def test_wrong_hash_leaves_nothing_behind(site: Site, archive: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=rf"^trainer\.start: .* has sha256 {sha256(archive)}, expected"):
        resolve(site.url, tmp_path, "0" * 64)
    assert list((tmp_path / "cache").iterdir()) == []


def test_missing_url_leaves_nothing_behind(site: Site, tmp_path: Path) -> None:
    site.statuses = [404]
    with pytest.raises(CheckpointError, match=r"cannot be downloaded: .*404"):
        resolve(site.url, tmp_path, "0" * 64)
    assert list((tmp_path / "cache").iterdir()) == []


def test_file_url_needs_no_hash(archive: Path, tmp_path: Path) -> None:
    assert resolve(archive.as_uri(), tmp_path).endswith("ckpt-0")


def test_file_url_with_a_hash_is_checked(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"has sha256 {sha256(archive)}, expected 0000"):
        resolve(archive.as_uri(), tmp_path, "0" * 64)


def test_file_url_means_a_path(zoo_folder: Path, tmp_path: Path) -> None:
    spaced = tmp_path / "with space"
    zoo_folder.rename(spaced)
    assert "%20" in spaced.as_uri()
    assert resolve(spaced.as_uri(), tmp_path).endswith("with space/ssd_something/checkpoint/ckpt-0")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        pytest.param("s3://bucket/a.tar.gz", "s3:// is not supported; use a path or a file://", id="scheme"),
        pytest.param("http://host/a.tar.gz", "an http:// URL needs its sha256", id="no-hash"),
    ],
)
def test_settings_refuse_what_cannot_be_fetched_safely(source: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Start(source=source)


def test_missing_path(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nothing.tar.gz does not exist; expected"):
        resolve(tmp_path / "nothing.tar.gz", tmp_path)


def test_a_file_that_is_not_an_archive(tmp_path: Path) -> None:
    (tmp_path / "notes.tar.gz").write_text("not an archive")
    with pytest.raises(CheckpointError, match=r"notes.tar.gz is neither a TFLite model nor a readable tar archive"):
        resolve(tmp_path / "notes.tar.gz", tmp_path)
    assert not any((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("cut", [pytest.param(-20, id="end-missing"), pytest.param(30, id="start-only")])
def test_archive_that_is_cut(archive: Path, tmp_path: Path, cut: int) -> None:
    archive.write_bytes(archive.read_bytes()[:cut])
    with pytest.raises(
        CheckpointError, match=r"ssd_something.tar.gz is neither a TFLite model nor a readable tar archive"
    ):
        resolve(archive, tmp_path)
    assert not any((tmp_path / "cache").iterdir())


def test_a_full_disk_is_not_reported_as_a_bad_archive(zoo_folder: Path, tmp_path: Path) -> None:
    (zoo_folder / "ssd_something" / "checkpoint" / "ckpt-0.data-00000-of-00001").write_bytes(bytes(1_000_000))
    path = tmp_path / "large.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        file.add(zoo_folder / "ssd_something", "ssd_something")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, before[1]))
    try:
        with pytest.raises(
            CheckpointError, match=r"cannot unpack large.tar.gz \(File too large\); free space in .*cache"
        ):
            resolve(path, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not any((tmp_path / "cache").iterdir())


def test_folder_without_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        resolve(tmp_path / "empty", tmp_path)


def test_folder_with_several_checkpoints_lists_them(tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    for name in ("ckpt-1", "ckpt-2"):
        (tmp_path / "two" / f"{name}.index").write_bytes(b"")
    with pytest.raises(CheckpointError, match="pick one: ckpt-1, ckpt-2"):
        resolve(tmp_path / "two", tmp_path)


def test_archive_that_reaches_outside_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evil.txt").write_text("x")
    path = tmp_path / "evil.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        file.add(tmp_path / "evil.txt", "../../outside.txt")
    with pytest.raises(CheckpointError, match="outside"):
        resolve(path, tmp_path)
    assert not (tmp_path.parent / "outside.txt").exists()


def test_by_default_training_starts_from_new_weights(tmp_path: Path) -> None:
    assert choose_start(settings(), "", cache(tmp_path)) == StartingPoint()


def test_a_checkpoint_keeps_its_type(zoo_folder: Path, tmp_path: Path) -> None:
    start = choose_start(settings(start={"source": str(zoo_folder), "type": "classification"}), "", cache(tmp_path))
    assert start.prefix is not None
    assert start.prefix.endswith("checkpoint/ckpt-0")
    assert (start.type, start.note) == (CheckpointType.CLASSIFICATION, "")


def test_the_serving_model_comes_before_otherwise(zoo_folder: Path, tmp_path: Path) -> None:
    prefix = str(zoo_folder / "ssd_something" / "checkpoint" / "ckpt-0")
    wish = {"source": "serving", "otherwise": str(tmp_path / "nowhere"), "type": "classification"}
    start = choose_start(settings(start=wish), f"serving:{prefix}", cache(tmp_path))
    assert start == StartingPoint(prefix, CheckpointType.DETECTION, note="Starting from the serving model.")


def test_without_a_serving_model_training_starts_from_new_weights(tmp_path: Path) -> None:
    start = choose_start(settings(start="serving"), "", cache(tmp_path))
    assert start == StartingPoint(note="trainer.start: no model is serving yet; starting from new weights.")


def test_without_a_serving_model_training_starts_where_otherwise_says(zoo_folder: Path, tmp_path: Path) -> None:
    wish = {"source": "serving", "otherwise": str(zoo_folder), "type": "classification"}
    start = choose_start(settings(start=wish), "", cache(tmp_path))
    assert str(start.prefix).endswith("ckpt-0")
    assert start.type is CheckpointType.CLASSIFICATION
    assert start.note == f"trainer.start: no model is serving yet; starting from {zoo_folder}."


def test_a_serving_model_without_its_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"/gone/ckpt-3, the checkpoint .* no longer exists; restore it, or"):
        choose_start(settings(start="serving"), "serving:/gone/ckpt-3", cache(tmp_path))
