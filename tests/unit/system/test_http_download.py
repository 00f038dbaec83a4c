"""Downloads from a real server on the loopback interface, which cuts connections and changes files."""

from __future__ import annotations

import hashlib
import io
import os
import pty
import random
import resource
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reefline.errors import DownloadError
from reefline.system.download_progress import DownloadProgress
from reefline.system.http_download import download
from tests.web_server import Site, serve

REPO_DIR = Path(__file__).resolve().parents[3]
CONTENT = random.Random(0).randbytes(1_000_000)
OTHER = random.Random(1).randbytes(1_000_000)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def site() -> Iterator[Site]:
    with serve(Site(CONTENT, etag='"v1"')) as served:
        yield served


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "model.tar.gz"


def get(site: Site, target: Path, content: bytes = CONTENT, **options: Any) -> str:
    """Download and return what was printed."""
    shown = io.StringIO()
    download(site.url, target, sha256=sha256(content), stream=shown, **{"first_pause_s": 0.01, **options})
    return shown.getvalue()


def cut_run(site: Site, target: Path, *cuts: int, content: bytes = CONTENT) -> None:
    """Fail one download before the end of the file."""
    site.cuts = list(cuts)
    with pytest.raises(DownloadError, match="download was cut"):
        get(site, target, content, attempts=1)


def names(target: Path) -> set[str]:
    return {path.name for path in target.parent.iterdir()}


def test_a_file_comes_in_one_request(site: Site, target: Path) -> None:
    shown = get(site, target)
    assert target.read_bytes() == CONTENT
    assert names(target) == {"model.tar.gz"}
    assert site.asked_ranges == [None]
    assert site.requests[0]["accept-encoding"] == "identity"
    assert "model.tar.gz: downloading 1.0 MB" in shown
    assert "model.tar.gz: done, 1.0 MB" in shown


def test_an_existing_file_is_checked_and_not_requested(site: Site, target: Path) -> None:
    get(site, target)
    assert get(site, target) == ""
    assert len(site.requests) == 1


def test_a_damaged_file_is_downloaded_again(site: Site, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(OTHER)
    get(site, target)
    assert target.read_bytes() == CONTENT


def test_a_cut_connection_is_resumed_in_the_same_run(site: Site, target: Path) -> None:
    site.cuts = [400_000, 300_000]
    shown = get(site, target)
    assert target.read_bytes() == CONTENT
    assert site.asked_ranges == [None, "bytes=400000-", "bytes=700000-"]
    assert site.requests[1]["if-range"] == '"v1"'
    assert "retrying in 0.01 s" in shown
    assert "resuming at 700.0 kB of 1.0 MB" in shown


def test_attempts_count_from_the_last_new_byte(site: Site, target: Path) -> None:
    site.cuts = [100_000] * 9
    get(site, target, attempts=2)
    assert len(site.requests) == 10


def test_the_next_run_resumes(site: Site, target: Path) -> None:
    cut_run(site, target, 400_000)
    part = f"model.tar.gz.{sha256(CONTENT)[:16]}.part"
    assert names(target) == {part, f"{part}.etag"}
    assert (target.parent / part).read_bytes() == CONTENT[:400_000]
    get(site, target)
    assert target.read_bytes() == CONTENT
    assert site.asked_ranges == [None, "bytes=400000-"]
    assert names(target) == {"model.tar.gz"}


def test_a_killed_process_loses_nothing_that_arrived(site: Site, target: Path) -> None:
    site.may_finish = threading.Event()
    code = f"""
from pathlib import Path
from reefline.system.http_download import download
download({site.url!r}, Path({str(target)!r}), sha256={sha256(CONTENT)!r})
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=REPO_DIR, stdout=subprocess.DEVNULL)
    part = target.parent / f"model.tar.gz.{sha256(CONTENT)[:16]}.part"
    deadline_s = time.monotonic() + 60
    while not (part.is_file() and part.stat().st_size > 400_000) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    process.kill()
    process.wait()
    site.may_finish.set()
    assert not target.exists()
    kept = part.stat().st_size
    assert 400_000 < kept <= 500_000
    get(site, target)
    assert target.read_bytes() == CONTENT
    assert site.asked_ranges == [None, f"bytes={kept}-"]


def test_the_message_of_a_cut_says_what_is_kept(site: Site, target: Path) -> None:
    site.cuts = [400_000]
    with pytest.raises(DownloadError, match=r"400.0 kB are kept; run again to resume") as caught:
        get(site, target, attempts=1)
    assert len(caught.value.problems) == 1


def test_attempts_run_out_when_nothing_arrives(site: Site, target: Path) -> None:
    site.cuts = [400_000, *[0] * 9]
    with pytest.raises(DownloadError, match="download was cut"):
        get(site, target, attempts=3)
    assert len(site.requests) == 3


def test_a_server_without_ranges_sends_it_all_again(site: Site, target: Path) -> None:
    site.ranges = False
    cut_run(site, target, 400_000)
    get(site, target)
    assert target.read_bytes() == CONTENT
    assert site.asked_ranges == [None, "bytes=400000-"]


def test_a_server_without_ranges_that_always_cuts_fails(site: Site, target: Path) -> None:
    site.ranges, site.cuts = False, [400_000] * 20
    with pytest.raises(DownloadError, match="download was cut"):
        get(site, target, attempts=3)
    assert len(site.requests) == 3


def test_a_file_that_changed_meanwhile_is_restarted(site: Site, target: Path) -> None:
    """If-Range tells the server, which sends the new file from its start."""
    cut_run(site, target, 400_000, content=OTHER)
    site.content, site.etag = OTHER, '"v2"'
    get(site, target, OTHER)
    assert target.read_bytes() == OTHER
    assert site.requests[-1]["if-range"] == '"v1"'
    assert len(site.requests) == 2


def test_a_file_that_changed_unnoticed_is_restarted_once(site: Site, target: Path) -> None:
    """Without an ETag the two versions are joined, which the hash reveals."""
    site.etag = ""
    cut_run(site, target, 400_000, content=OTHER)
    site.content = OTHER
    shown = get(site, target, OTHER)
    assert target.read_bytes() == OTHER
    assert site.asked_ranges == [None, "bytes=400000-", None]
    assert "partial download does not match; restarting" in shown


def test_a_file_that_shrank_meanwhile_is_restarted(site: Site, target: Path) -> None:
    site.etag, short = "", OTHER[:300_000]
    cut_run(site, target, 400_000, content=short)
    site.content = short
    get(site, target, short)
    assert target.read_bytes() == short


def test_a_complete_part_needs_no_server(target: Path) -> None:
    target.parent.mkdir()
    (target.parent / f"model.tar.gz.{sha256(CONTENT)[:16]}.part").write_bytes(CONTENT)
    get(Site(CONTENT, url="http://127.0.0.1:9/"), target)
    assert target.read_bytes() == CONTENT
    assert names(target) == {"model.tar.gz"}


def test_a_wrong_hash_leaves_nothing(site: Site, target: Path) -> None:
    with pytest.raises(DownloadError, match=f"has sha256 {sha256(CONTENT)}, expected {sha256(OTHER)}; correct the URL"):
        get(site, target, OTHER)
    assert names(target) == set()


def test_a_wrong_hash_leaves_an_older_file_alone(site: Site, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"of an older run")
    with pytest.raises(DownloadError, match="has sha256"):
        get(site, target, OTHER)
    assert target.read_bytes() == b"of an older run"


def test_a_response_of_unknown_length_is_judged_by_its_hash(site: Site, target: Path) -> None:
    site.content_length = False
    assert "downloading an unknown size" in get(site, target)
    assert target.read_bytes() == CONTENT


def test_a_redirect_is_followed(site: Site, target: Path) -> None:
    site.redirect_to = "/elsewhere"
    get(site, target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("status", [pytest.param(status, id=str(status)) for status in (401, 403, 404, 410)])
def test_a_refusal_is_final(site: Site, target: Path, status: int) -> None:
    site.statuses = [status]
    with pytest.raises(
        DownloadError, match=rf"model.tar.gz cannot be downloaded: the server answered {status} .*correct"
    ):
        get(site, target)
    assert len(site.requests) == 1
    assert names(target) == set()


@pytest.mark.parametrize("status", [pytest.param(status, id=str(status)) for status in (408, 429, 500, 503)])
def test_a_busy_server_is_retried(site: Site, target: Path, status: int) -> None:
    site.statuses = [status, status]
    get(site, target)
    assert target.read_bytes() == CONTENT
    assert len(site.requests) == 3


def test_a_refused_connection_is_one_clear_message(target: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        site = Site(CONTENT, url=f"http://127.0.0.1:{bound.getsockname()[1]}/a.tar.gz")
        with pytest.raises(DownloadError, match=r"a.tar.gz cannot be downloaded: .*refused; check the URL") as caught:
            get(site, target, attempts=2)
    assert len(caught.value.problems) == 1
    assert names(target) == set()


def test_without_network_it_gives_up_at_once(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lookups = []

    def fail(host: str, *_arguments: object, **_options: object) -> None:
        lookups.append(host)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(DownloadError, match=r"cannot be downloaded: .*name resolution; check the URL and the network"):
        get(Site(CONTENT, url="http://host.invalid/a.tar.gz"), target, attempts=4)
    assert lookups == ["host.invalid"]


def test_a_message_holds_neither_password_nor_token(target: Path) -> None:
    site = Site(CONTENT, url="http://me:secret@127.0.0.1:9/a.tar.gz?token=secret")
    with pytest.raises(DownloadError, match=r"^http://127.0.0.1:9/a.tar.gz cannot be") as caught:
        get(site, target, attempts=1)
    assert "secret" not in str(caught.value)


def test_another_scheme_is_refused(target: Path) -> None:
    with pytest.raises(DownloadError, match=r"ftp://host/a.tar.gz: expected an http or https URL"):
        download("ftp://host/a.tar.gz", target, sha256="0" * 64)
    assert not target.parent.exists()


def test_a_full_disk_keeps_the_part(site: Site, target: Path) -> None:
    """To a process, a limit on file sizes looks like a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, before[1]))
    try:
        with pytest.raises(DownloadError, match=r"model.tar.gz: cannot write it \(File too large\).*are kept"):
            get(site, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not target.exists()
    get(site, target)
    assert target.read_bytes() == CONTENT
    assert site.asked_ranges[0] is None
    assert str(site.asked_ranges[1]).startswith("bytes=")


def test_a_folder_that_cannot_be_created_is_one_clear_message(site: Site, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(DownloadError, match=r"cannot write it \(File exists\)"):
        get(site, tmp_path / "cache" / "model.tar.gz")


def test_two_at_a_time_take_turns(site: Site, target: Path) -> None:
    threads = [threading.Thread(target=get, args=(site, target)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_bytes() == CONTENT
    assert len(site.requests) == 1
    assert names(target) == {"model.tar.gz"}


def test_a_terminal_shows_a_bar(site: Site, target: Path) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        download(site.url, target, sha256=sha256(CONTENT), stream=terminal)
        shown = _read_terminal(ours, until="model.tar.gz: 1.0 MB of 1.0 MB, ")
    os.close(ours)
    assert "━" in shown


def _read_terminal(descriptor: int, until: str) -> str:
    """Return what a terminal showed: one read may return less than was written."""
    shown, deadline_s = b"", time.monotonic() + 60
    while until.encode() not in shown:
        assert select.select([descriptor], [], [], max(0.0, deadline_s - time.monotonic()))[0], shown.decode()
        shown += os.read(descriptor, 100_000)
    return shown.decode()


def test_plain_lines_show_bytes_total_and_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now_s[0])
    shown = io.StringIO()
    with DownloadProgress("a.zip", shown) as progress:
        progress.begin(2_000_000, 10_000_000)
        for _ in range(4):
            now_s[0] += 2
            progress.advance(1_000_000)
    assert shown.getvalue().splitlines() == [
        "  a.zip: resuming at 2.0 MB of 10.0 MB",
        "  a.zip: 5.0 MB of 10.0 MB, 500.0 kB/s",
        "  a.zip: done, 6.0 MB",
    ]


def test_without_a_hash_a_cut_download_is_resumed_only_if_the_server_can_tell_versions_apart(target: Path) -> None:
    for etag, asked in (('"v1"', [None, "bytes=400000-"]), ("", [None, None])):
        with serve(Site(CONTENT, etag=etag, cuts=[400_000])) as site:
            download(site.url, target, sha256=None, stream=io.StringIO(), first_pause_s=0.01)
            assert site.asked_ranges == asked
        assert target.read_bytes() == CONTENT
        assert names(target) == {"model.tar.gz"}
        target.unlink()


def test_without_a_hash_an_existing_file_is_used(site: Site, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"mine")
    download(site.url, target, sha256=None, stream=io.StringIO())
    assert target.read_bytes() == b"mine"
    assert site.requests == []
