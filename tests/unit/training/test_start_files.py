"""Files of the web to start from: pinned or not, in the cache, in a folder, or on a server of the loopback."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from reefline.errors import CheckpointError
from reefline.training.start_files import LOCAL_FOLDERS, StartCache, locate_path
from tests.web_server import Site, serve

CONTENT, OTHER = b"weights", b"other weights"
SHA256, OTHER_SHA256 = (hashlib.sha256(content).hexdigest() for content in (CONTENT, OTHER))


@pytest.fixture
def site() -> Iterator[Site]:
    with serve(Site(CONTENT)) as served:
        yield served


def make_cache(root: Path, workspace: str = "ws") -> StartCache:
    return StartCache(root / "cache", root / workspace / "start_hashes.json", (root / "models",))


def test_a_pinned_file_is_downloaded_once_for_all_workspaces(site: Site, tmp_path: Path) -> None:
    first = make_cache(tmp_path).fetch(site.url, SHA256)
    assert first.read_bytes() == CONTENT
    assert make_cache(tmp_path, "other").fetch(site.url, SHA256) == first
    assert len(site.requests) == 1


@pytest.mark.parametrize("folder", ["models", "cache"])
def test_a_file_in_a_folder_is_recognized_by_its_hash(site: Site, tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "a.gz").write_bytes(OTHER)
    (tmp_path / folder / "any name.gz").write_bytes(CONTENT)
    assert make_cache(tmp_path).fetch(site.url, SHA256) == tmp_path / folder / "any name.gz"
    assert site.requests == []


def test_a_file_of_another_hash_is_refused_and_not_kept(site: Site, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=rf"^trainer\.start: .* has sha256 {SHA256}, expected {OTHER_SHA256}"):
        make_cache(tmp_path).fetch(site.url, OTHER_SHA256)
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_network_the_message_says_what_to_put_where(site: Site, tmp_path: Path) -> None:
    site.statuses = [404]
    with pytest.raises(CheckpointError) as caught:
        make_cache(tmp_path).fetch(site.url, SHA256)
    message = str(caught.value)
    assert message.startswith(f"trainer.start: {site.url} cannot be downloaded")
    assert f"put the file with sha256 {SHA256} into {tmp_path / 'models'}, under any name" in message
    assert message.endswith("or start from new weights with --set trainer.start=scratch")


def test_without_network_and_hash_another_start_is_advised(site: Site, tmp_path: Path) -> None:
    site.statuses = [404]
    with pytest.raises(CheckpointError, match=r"set trainer\.start to a file on this machine, or start from new"):
        make_cache(tmp_path).fetch(site.url, None)


def test_a_url_without_a_hash_reports_the_line_to_add(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = make_cache(tmp_path)
    path = cache.fetch(site.url, None)
    assert path.read_bytes() == CONTENT
    assert f'    sha256: "{SHA256}"\n' in capsys.readouterr().out
    assert cache.fetch(site.url, None) == path
    assert SHA256 not in capsys.readouterr().out
    assert cache.fetch(site.url, SHA256) == path
    assert len(site.requests) == 1


def test_another_workspace_does_not_download_again(site: Site, tmp_path: Path) -> None:
    path = make_cache(tmp_path).fetch(site.url, None)
    assert make_cache(tmp_path, "other").recall(site.url) == SHA256
    assert make_cache(tmp_path, "other").fetch(site.url, None) == path
    assert len(site.requests) == 1
    assert (tmp_path / "other" / "start_hashes.json").is_file()


@pytest.mark.parametrize("lost", [pytest.param("*model*", id="file"), pytest.param("*", id="cache")])
def test_other_content_behind_a_url_stops_the_run(site: Site, tmp_path: Path, lost: str) -> None:
    make_cache(tmp_path).fetch(site.url, None)
    for path in (tmp_path / "cache").glob(lost):
        path.unlink()
    site.content = OTHER
    with pytest.raises(CheckpointError) as caught:
        make_cache(tmp_path).fetch(site.url, None)
    assert f"has changed: sha256 {OTHER_SHA256} found, {SHA256} remembered from the first download" in str(caught.value)
    assert not list((tmp_path / "cache").glob("*model*"))


def test_a_workspace_remembers_what_the_cache_knew(site: Site, tmp_path: Path) -> None:
    make_cache(tmp_path).fetch(site.url, None)
    assert make_cache(tmp_path, "other").recall(site.url) == SHA256
    (tmp_path / "cache" / "urls.json").unlink()
    assert make_cache(tmp_path, "other").recall(site.url) == SHA256
    assert make_cache(tmp_path, "third").recall(site.url) == SHA256
    assert make_cache(tmp_path, "other").recall("https://host/another") is None


def test_a_url_whose_file_was_lost_is_downloaded_again(site: Site, tmp_path: Path) -> None:
    make_cache(tmp_path).fetch(site.url, None).unlink()
    assert make_cache(tmp_path).fetch(site.url, None).read_bytes() == CONTENT
    assert len(site.requests) == 2


def test_what_is_remembered_has_no_password(site: Site, tmp_path: Path) -> None:
    url = site.url.replace("http://", "http://user:secret@") + "?token=secret"
    make_cache(tmp_path).fetch(url, None)
    for path in (tmp_path / "cache" / "urls.json", tmp_path / "ws" / "start_hashes.json"):
        assert "127.0.0.1" in path.read_text() and "secret" not in path.read_text()


def test_folders_for_machines_without_network_belong_to_the_checkout() -> None:
    checkout = Path(__file__).resolve().parents[3]
    assert (checkout / "models", checkout.parent / "shared" / "models") == LOCAL_FOLDERS


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        pytest.param("x" * 5000, "File name too long", id="too-long"),
        pytest.param("~no-such-user/x", "home directory", id="unknown-user"),
        pytest.param("file://[::1/x", "Invalid IPv6 URL", id="malformed"),
    ],
)
def test_a_source_that_cannot_be_named_is_one_message(source: str, reason: str) -> None:
    with pytest.raises(CheckpointError, match=rf"^trainer\.start: '.{{0,100}}' cannot be used \(.*{reason}"):
        locate_path(source, None)


def test_a_sha256_cannot_pin_a_folder(tmp_path: Path) -> None:
    assert locate_path(str(tmp_path), None) == tmp_path
    with pytest.raises(CheckpointError, match="is a folder, a bundle or a checkpoint, and sha256 pins a single"):
        locate_path(str(tmp_path), "0" * 64)
