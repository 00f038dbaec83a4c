"""`reefline download` through the command line, from a server on the loopback."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from reefline.acquisition.image_folder import FAILURES_FILE
from reefline.acquisition.query import Filters, ImageHit, Kind, Query, SourceError
from reefline.acquisition.sources import choice
from reefline.cli import app
from reefline.curation.output_folder import OutputMode, claim_output_folder
from reefline.images.codec import inspect_image
from reefline.structures.image_origin import read_origins
from tests.factories import make_jpeg
from tests.factories_acquisition import make_hit
from tests.image_server import Endless, ImageSite, Reply, serve_images

REPO_DIR = Path(__file__).resolve().parents[3]


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["download", *(str(argument) for argument in arguments)])


@pytest.fixture
def site() -> Iterator[ImageSite]:
    """A server of twenty images and of everything that is none."""
    images = {f"/{number}.jpg": Reply(make_jpeg(number)) for number in range(20)}
    others = {
        "/page.jpg": Reply(b"<html>gone</html>"),
        "/private": Reply(status=302, headers={"Location": "http://127.0.0.2:1/"}),
        "/moved": Reply(status=301, headers={"Location": "/19.jpg"}),
        "/busy": [Reply(status=503, headers={"Retry-After": "0"}), Reply(make_jpeg(40))],
    }
    with serve_images({**images, **others}) as served:
        yield served


def write_list(path: Path, site: ImageSite, *paths: str, label: str = "") -> Path:
    """Write a list of addresses; with a label it is CSV."""
    lines = [f"{site.url(one)},{label}" if label else site.url(one) for one in paths]
    path.write_text("\n".join(["url,label", *lines] if label else lines), encoding="utf-8")
    return path


def download_list(urls: Path, out: Path, *options: str) -> Result:
    return invoke("--from-urls", urls, "--out", out, "--allow-private", "--delay", "0", *options)


class FakeSource:
    """Stands in for the search services; None breaks off the search."""

    def __init__(self, name: str, hits: list[ImageHit | None]) -> None:
        self.name = name
        self.filters = Filters(kinds={Kind.PHOTO: "photo"} if name == "openverse" else {})
        self.queries: list[Query] = []
        self._hits = hits

    def search(self, query: Query) -> Iterator[ImageHit]:
        self.queries.append(query)
        for hit in self._hits:
            if hit is None:
                raise SourceError(f"{self.name}: the service answered 503")
            yield hit


Serving = Callable[..., dict[str, FakeSource]]


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Serving:
    """Return a function that sets what each source finds."""

    def serve(**hits: list[ImageHit | None]) -> dict[str, FakeSource]:
        sources = {name: FakeSource(name, hits.get(name, [])) for name in choice.SOURCE_NAMES}
        monkeypatch.setattr(choice, "make_source", lambda name, *_: sources[name])
        return sources

    return serve


def test_each_keyword_gets_a_folder_and_each_image_its_license(site: ImageSite, found: Serving, tmp_path: Path) -> None:
    openverse = [make_hit(site.url(f"/{number}.jpg")) for number in range(3)]
    commons = [make_hit(site.url(f"/{number}.jpg"), license="CC0 1.0", source="wikimedia") for number in range(3, 9)]
    sources = found(openverse=openverse, wikimedia=commons)
    result = invoke("red fox", "a/b", "--out", tmp_path, "--limit", "5", "--allow-private", "--delay", "0")
    assert result.exit_code == 0, result.output
    assert f"{tmp_path / 'red fox'}: 5 images (licenses: 3 CC BY 4.0, 2 CC0 1.0)" in result.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a_b", "red fox"]
    assert len(read_origins(tmp_path / "a_b")) == 5
    assert [query.keyword for query in sources["openverse"].queries] == ["red fox", "a/b"]
    assert "warning" not in result.output


def test_json_has_each_folder_and_each_warning(site: ImageSite, found: Serving, tmp_path: Path) -> None:
    found(openverse=[make_hit(site.url("/0.jpg")), make_hit(site.url("/page.jpg")), None])
    arguments = ("fox", "--out", tmp_path, "--allow-private", "--delay", "0", "--workers", "1", "--json")
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    (folder,) = printed["folders"]
    (failure,) = folder.pop("failures")
    assert failure["url"] == site.url("/page.jpg") and failure["is_permanent"]
    path = str(tmp_path / "fox")
    assert folder == {"folder": path, "images": 1, "new_images": 1, "wanted": 100, "licenses": {"CC BY 4.0": 1}}
    assert printed["warnings"] == ["openverse: the service answered 503"]
    found()
    result = invoke("wolf", "--out", tmp_path, "--json")
    assert result.exit_code == 2 and json.loads(result.stdout) == {"folders": [], "warnings": []}


def test_a_second_run_asks_no_one(site: ImageSite, found: Serving, tmp_path: Path) -> None:
    hits: list[ImageHit | None] = [make_hit(site.url(f"/{number}.jpg")) for number in range(3)]
    found(openverse=hits)
    arguments = ("fox", "--out", tmp_path, "--limit", "3", "--allow-private", "--delay", "0")
    invoke(*arguments)
    sources = found(openverse=hits)
    before = len(site.paths)
    result = invoke(*arguments)
    assert result.exit_code == 0 and "3 images, 0 of them new" in result.stdout
    assert len(site.paths) == before and not sources["openverse"].queries


def test_fewer_images_than_asked_are_a_warning_with_the_reasons(
    site: ImageSite, found: Serving, tmp_path: Path
) -> None:
    found(openverse=[make_hit(site.url(path)) for path in ("/1.jpg", "/page.jpg", "/gone.jpg")], wikimedia=[None])
    result = invoke("fox", "--out", tmp_path, "--limit", "5", "--allow-private", "--delay", "0")
    assert result.exit_code == 0, result.output
    assert "warning: wikimedia: the service answered 503" in result.stdout
    assert (
        f"warning: {tmp_path / 'fox'}: 1 of 5 images: 2 failed (1× a web page, not an image; "
        f"1× the server answered 404 Not Found), see {tmp_path / 'fox' / FAILURES_FILE}"
    ) in result.stdout


def test_no_image_is_an_error_and_other_keywords_are_still_downloaded(
    site: ImageSite, found: Serving, tmp_path: Path
) -> None:
    sources = found()
    sources["openverse"].search = lambda query: iter(  # type: ignore[method-assign]
        [make_hit(site.url("/1.jpg"))] if query.keyword == "dog" else []
    )
    result = invoke("fox", "dog", "--out", tmp_path, "--allow-private", "--delay", "0")
    assert result.exit_code == 2
    assert f"error: {tmp_path / 'fox'}: no images found (openverse, wikimedia); use other words" in result.stderr
    assert len(read_origins(tmp_path / "dog")) == 1 and not (tmp_path / "fox").exists()


def test_without_a_usable_source_the_error_is_not_about_the_words(found: Serving, tmp_path: Path) -> None:
    found(openverse=[None], wikimedia=[None])
    result = invoke("fox", "--out", tmp_path / "out")
    assert result.exit_code == 2 and "warning: openverse: the service answered 503" in result.stdout
    assert "fox: no images: no source can be used (openverse, wikimedia), see the warnings" in result.stderr
    assert not (tmp_path / "out").exists()


def test_no_usable_image_is_an_error_with_the_reasons(site: ImageSite, tmp_path: Path) -> None:
    result = download_list(write_list(tmp_path / "urls.txt", site, "/page.jpg"), tmp_path / "out")
    assert result.exit_code == 2
    assert "no image could be downloaded: 1 failed (1× a web page, not an image)" in result.stderr


def test_a_plain_list_goes_to_the_folder_itself_and_labels_to_theirs(site: ImageSite, tmp_path: Path) -> None:
    assert download_list(write_list(tmp_path / "a", site, "/1.jpg"), tmp_path / "plain").exit_code == 0
    assert len(list((tmp_path / "plain").glob("*.jpg"))) == 1
    labelled = write_list(tmp_path / "b", site, "/1.jpg", "/2.jpg", "/2.jpg", "/moved", "/busy", label="../dog")
    result = download_list(labelled, tmp_path / "labels")
    assert result.exit_code == 0 and "warning" not in result.output
    assert [path.name for path in (tmp_path / "labels").iterdir()] == ["_dog"]
    assert len(list((tmp_path / "labels" / "_dog").glob("*.jpg"))) == 4


def test_a_second_list_adds_to_a_folder_and_names_what_failed(site: ImageSite, tmp_path: Path) -> None:
    urls = tmp_path / "urls"
    download_list(write_list(urls, site, "/1.jpg", "/2.jpg", "/3.jpg"), tmp_path / "out")
    result = download_list(write_list(urls, site, "/4.jpg", "/page.jpg"), tmp_path / "out")
    assert "4 images, 1 of them new" in result.stdout
    assert f"warning: {tmp_path / 'out'}: 1 failed (1× a web page, not an image), see" in result.stdout
    result = download_list(urls, tmp_path / "out")
    assert f"warning: {tmp_path / 'out'}: 1 failed in earlier runs, see" in result.stdout
    result = download_list(
        write_list(urls, site, *(f"/{number}.jpg" for number in range(9))), tmp_path / "out", "--limit", "6"
    )
    assert "6 images, 2 of them new" in result.stdout


def test_a_list_with_and_without_labels_can_be_continued(site: ImageSite, tmp_path: Path) -> None:
    urls = write_list(tmp_path / "urls", site, "/1.jpg", label="dog")
    # As if the first run had been stopped after the first label.
    assert download_list(urls, tmp_path / "out").exit_code == 0
    urls.write_text(f"{urls.read_text(encoding='utf-8')}\n{site.url('/2.jpg')},\n", encoding="utf-8")
    result = download_list(urls, tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert len(read_origins(tmp_path / "out")) == len(read_origins(tmp_path / "out" / "dog")) == 1


def test_private_addresses_are_refused_unless_allowed(site: ImageSite, tmp_path: Path) -> None:
    urls = write_list(tmp_path / "urls", site, "/1.jpg")
    result = invoke("--from-urls", urls, "--out", tmp_path / "out", "--delay", "0")
    assert result.exit_code == 2 and not site.paths
    assert "127.0.0.1 is not on the public internet" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        pytest.param([], "nothing to download: pass KEYWORD... or --from-urls FILE", id="nothing"),
        pytest.param(["fox", "--from-urls", "a"], "leave out keywords, --source and the filters", id="both"),
        pytest.param(["--from-urls", "a", "--size", "large"], "leave out keywords, --source and", id="filter-of-list"),
        pytest.param(["--from-urls", "missing"], "missing: cannot read it", id="missing-list"),
        pytest.param(["fox", "--size", "huge"], "--size huge: expected one of small, medium, large", id="size"),
        pytest.param(["fox", "--color", "mauve"], "--color mauve: expected one of color, monochrome", id="color"),
        pytest.param(["fox", "--source", "altavista"], "--source altavista: expected one of openverse", id="source"),
        pytest.param(["fox", "--source", "openverse", "--color", "red"], "openverse cannot filter by --color red",
                     id="unsupported"),
        pytest.param(["fox", "--site", "https://a.org/x"], "--site https://a.org/x: expected a host", id="site"),
        pytest.param(["..."], "keyword '...': has no letter and no digit", id="keyword"),
        pytest.param(["Fox", "fox"], "would share the folder", id="same-folder"),
        pytest.param(["fox", "--resume", "--overwrite"], "--overwrite exclude each other", id="both-modes"),
        pytest.param(["fox", "--contact", "a\nHost: b"], "--contact: expected printable ASCII", id="contact"),
        pytest.param(["fox", "--proxy", "socks5://a"], "--proxy: expected http://HOST:PORT", id="proxy"),
        pytest.param(["fox", "--limit", "0"], "limit", id="limit"),
    ],
)  # fmt: skip
def test_bad_usage_is_explained(arguments: list[str], problem: str, tmp_path: Path) -> None:
    result = invoke(*arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2 and problem in result.stderr
    assert not (tmp_path / "out").exists()


def test_folders_of_other_origin_are_refused_before_anything_is_downloaded(
    site: ImageSite, found: Serving, tmp_path: Path
) -> None:
    found(openverse=[make_hit(site.url("/1.jpg"))])
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / "own.txt").write_text("own")
    result = invoke("fox", "dog", "--out", tmp_path, "--allow-private")
    assert result.exit_code == 2 and not site.paths
    assert f"{tmp_path / 'dog'}: has files that `reefline download` did not write" in result.stderr


def test_the_output_of_another_command_is_refused_as_the_folder_of_keywords(
    site: ImageSite, found: Serving, tmp_path: Path
) -> None:
    found(openverse=[make_hit(site.url("/1.jpg"))])
    claim_output_folder(tmp_path, "autolabel", inputs=(), mode=OutputMode.NEW)
    result = invoke("fox", "--out", tmp_path, "--allow-private")
    assert result.exit_code == 2 and not site.paths
    assert f"{tmp_path}: holds what `reefline autolabel` wrote; choose another --out" in result.stderr


def test_removed_images_are_not_downloaded_again(site: ImageSite, tmp_path: Path) -> None:
    urls = write_list(tmp_path / "urls", site, "/1.jpg", "/2.jpg")
    out = tmp_path / "out"
    download_list(urls, out)
    files = list(out.glob("*.jpg"))
    files[0].unlink()
    result = download_list(urls, out)
    assert result.exit_code == 0 and "1 images, 0 of them new" in result.stdout
    files[1].unlink()
    result = download_list(urls, out)
    assert result.exit_code == 2
    assert "no images: the 2 downloaded earlier were deleted or moved, and there are no others; pass" in result.stderr
    assert site.count("/1.jpg") == site.count("/2.jpg") == 1
    assert "2 images (licenses" in download_list(urls, out, "--overwrite").stdout


def wait_until_quiet(site: ImageSite) -> int:
    """Return the number of requests once the server has read those that a dead process left."""
    count = -1
    while count != len(site.paths):
        count = len(site.paths)
        time.sleep(0.3)
    return count


def start(urls: Path, out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "reefline", "download", "--from-urls", str(urls), "--out", str(out), "--allow-private",
         "--delay", "0", "--ignore-robots"],
        cwd=REPO_DIR,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("number", "exit_code", "name", "requests"),
    [
        pytest.param(signal.SIGINT, 130, "Ctrl-C", 1, id="ctrl-c-at-first"),
        pytest.param(signal.SIGINT, 130, "Ctrl-C", 15, id="ctrl-c-later"),
        pytest.param(signal.SIGTERM, 143, "SIGTERM", 7, id="sigterm"),
    ],
)
def test_a_signal_stops_at_once_and_the_same_command_resumes(
    number: signal.Signals, exit_code: int, name: str, requests: int, tmp_path: Path
) -> None:
    reached = threading.Event()
    images = {f"/{one}.jpg": Reply(make_jpeg(one)) for one in range(20)}
    # One host never answers: its thread must not hold up the end.
    with serve_images({**images, "/0.jpg": [Endless(block=b"", pause_s=60)]}) as site:
        site.before = lambda _: reached.set() if len(site.paths) >= requests else None
        urls = write_list(tmp_path / "urls", site, *images)
        process = start(urls, tmp_path / "out")
        try:
            assert reached.wait(60)
            process.send_signal(number)
            _, errors = process.communicate(timeout=45)
        finally:
            process.kill()
        assert process.returncode == exit_code, errors
        assert errors == f"error: stopped by {name}; run the same command to resume\n"
        for path in (tmp_path / "out").glob("*.jpg"):
            inspect_image(path.read_bytes(), max_image_pixels=10**6)
        assert not list((tmp_path / "out").glob(".*.part"))
        already = len(list((tmp_path / "out").glob("*.jpg")))
        site.replies["/0.jpg"] = [Reply(make_jpeg(0))]
        before = wait_until_quiet(site)
        assert download_list(urls, tmp_path / "out", "--ignore-robots").exit_code == 0
        assert len(site.paths) - before == 20 - already
    origins = read_origins(tmp_path / "out")
    assert len(origins) == 20
    assert sorted(origin.file for origin in origins) == sorted(p.name for p in (tmp_path / "out").glob("*.jpg"))


def test_a_disk_without_space_is_an_error_with_a_way_to_resume(site: ImageSite, tmp_path: Path) -> None:
    urls = write_list(tmp_path / "urls", site, *(f"/{number}.jpg" for number in range(5)))

    def limit_file_size() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))

    run = subprocess.run(
        [sys.executable, "-m", "reefline", "download", "--from-urls", str(urls), "--out", str(tmp_path / "out"),
         "--allow-private", "--delay", "0"],
        cwd=REPO_DIR,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        preexec_fn=limit_file_size,
    )  # fmt: skip
    assert run.returncode == 2, run.stderr
    assert "cannot write to it (File too large); free space or fix permissions" in run.stderr
    assert not list((tmp_path / "out").glob("*.jpg")) and not list((tmp_path / "out").glob(".*.part"))
    assert download_list(urls, tmp_path / "out").exit_code == 0
