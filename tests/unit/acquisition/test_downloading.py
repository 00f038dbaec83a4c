from __future__ import annotations

import dataclasses
import errno
import ipaddress
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import reefline.acquisition.image_folder as image_folder
from reefline.acquisition.downloading import Downloader, Fetches, Pace
from reefline.acquisition.fetching import Busy, Failed, Fetched, Fetcher, FetchLimits, Outcome, Redirected
from reefline.acquisition.guarded_client import ALLOW_ALL, AddressGuard, ClientSettings, make_client, resolve
from reefline.acquisition.image_folder import Existing, ImageFolder, open_image_folder
from reefline.acquisition.query import ImageHit
from reefline.acquisition.robots import RobotsRules
from reefline.errors import DownloadError
from reefline.structures.output_marker import MARKER_FILE
from tests.factories import make_jpeg
from tests.factories_acquisition import make_hit
from tests.image_server import Endless, Reply, serve_images

FAST = Pace(workers=4, delay_s=0.0, first_pause_s=0.01)


class FakeFetcher:
    """Answers each URL with its outcomes in turn, the last one repeating; notes when, and how many at once."""

    def __init__(self, outcomes: dict[str, list[Outcome] | Outcome], *, seconds: float = 0.0, delay_s: float = 0.0):
        self._outcomes = {url: o if isinstance(o, list) else [o] for url, o in outcomes.items()}
        self._seconds, self._delay_s = seconds, delay_s
        self._lock = threading.Lock()
        self.urls: list[str] = []
        self.started_s: dict[str, list[float]] = defaultdict(list)
        self._under_way: dict[str, int] = defaultdict(int)
        self.most_at_once: dict[str, int] = defaultdict(int)

    def find_delay_s(self, host: str) -> float:
        return self._delay_s

    def fetch(self, url: str) -> Outcome:
        host = url.split("/")[2]
        with self._lock:
            self.urls.append(url)
            self.started_s[host].append(time.monotonic())
            self._under_way[host] += 1
            self.most_at_once[host] = max(self.most_at_once[host], self._under_way[host])
        time.sleep(self._seconds)
        with self._lock:
            self._under_way[host] -= 1
            waiting = self._outcomes[url]
            return waiting.pop(0) if len(waiting) > 1 else waiting[0]


def image(seed: int) -> Fetched:
    return Fetched(make_jpeg(seed))


def download(
    path: Path, fetcher: Fetches, hits: Iterator[ImageHit], wanted: int | None = None, pace: Pace = FAST
) -> ImageFolder:
    with open_image_folder(path, Existing.CONTINUE) as folder, Downloader(fetcher, pace) as downloader:
        downloader.download(folder, hits, wanted)
    return folder


def download_urls(path: Path, fetcher: Fetches, *urls: str, pace: Pace = FAST) -> ImageFolder:
    return download(path, fetcher, (make_hit(url) for url in urls), pace=pace)


def reasons(folder: ImageFolder) -> list[str]:
    return [failure.reason for failure in folder.new_failures]


def test_only_as_many_images_are_requested_as_are_wanted(tmp_path: Path) -> None:
    fetcher = FakeFetcher({f"http://a/{i}": image(i) for i in range(20)}, seconds=0.01)
    folder = download(tmp_path, fetcher, (make_hit(f"http://a/{i}") for i in range(20)), wanted=3)
    assert folder.count == 3 and len(fetcher.urls) == 3


def test_failures_are_replaced_by_further_hits(tmp_path: Path) -> None:
    outcomes = {f"http://a/{i}": image(i) if i % 2 else Failed("gone") for i in range(20)}
    folder = download(tmp_path, FakeFetcher(outcomes), (make_hit(f"http://a/{i}") for i in range(20)), wanted=4)
    assert folder.count == 4 and set(reasons(folder)) == {"gone"}


def test_an_address_that_repeats_is_requested_once(tmp_path: Path) -> None:
    fetcher = FakeFetcher({"http://a/1": image(1)})
    assert download_urls(tmp_path, fetcher, "http://a/1", "http://a/1").count == 1
    assert fetcher.urls == ["http://a/1"]


def test_the_same_content_under_two_addresses_is_kept_once(tmp_path: Path) -> None:
    folder = download_urls(
        tmp_path, FakeFetcher({"http://a/1": image(1), "http://b/2": image(1)}), "http://a/1", "http://b/2"
    )
    assert folder.count == 1 and len(list(tmp_path.glob("*.jpg"))) == 1
    assert reasons(folder) == [f"same content as {folder.origins[0].file}"]


def test_no_host_gets_more_requests_at_once_than_allowed(tmp_path: Path) -> None:
    urls = [f"http://{host}/{i}" for i in range(6) for host in "ab"]
    fetcher = FakeFetcher({url: Failed("x") for url in urls}, seconds=0.03)
    download_urls(tmp_path, fetcher, *urls, pace=Pace(workers=6, per_host=2, delay_s=0.0))
    assert fetcher.most_at_once == {"a": 2, "b": 2}


@pytest.mark.parametrize(
    ("pace_delay_s", "robots_delay_s"),
    [pytest.param(0.1, 0.0, id="own-delay"), pytest.param(0.0, 0.1, id="delay-of-robots-txt")],
)
def test_requests_to_a_host_are_apart(pace_delay_s: float, robots_delay_s: float, tmp_path: Path) -> None:
    urls = [f"http://a/{i}" for i in range(3)]
    fetcher = FakeFetcher({url: Failed("x") for url in urls}, delay_s=robots_delay_s)
    download_urls(tmp_path, fetcher, *urls, pace=Pace(per_host=1, delay_s=pace_delay_s))
    first, second, third = fetcher.started_s["a"]
    assert second - first >= 0.09 and third - second >= 0.09


def test_a_slow_host_does_not_hold_up_another(tmp_path: Path) -> None:
    urls = [*(f"http://slow/{i}" for i in range(4)), "http://fast/1"]
    fetcher = FakeFetcher({url: Failed("x") for url in urls})
    download_urls(tmp_path, fetcher, *urls, pace=Pace(workers=2, per_host=1, delay_s=0.1))
    assert fetcher.urls.index("http://fast/1") <= 1


def test_a_redirect_is_followed_and_the_first_address_is_recorded(tmp_path: Path) -> None:
    fetcher = FakeFetcher({"http://a/1": Redirected("http://b/2"), "http://b/2": image(1)})
    folder = download_urls(tmp_path, fetcher, "http://a/1")
    assert [origin.url for origin in folder.origins] == ["http://a/1"]


def test_redirects_in_a_circle_end(tmp_path: Path) -> None:
    fetcher = FakeFetcher({"http://a/1": Redirected("http://b/2"), "http://b/2": Redirected("http://a/1")})
    assert reasons(download_urls(tmp_path, fetcher, "http://a/1")) == ["more than 5 redirects"]
    assert len(fetcher.urls) == 6


def test_a_redirect_to_an_invalid_address_fails(tmp_path: Path) -> None:
    class Strict(FakeFetcher):
        def fetch(self, url: str) -> Outcome:
            return Failed("not a valid URL") if "[" in url else super().fetch(url)

    fetcher = Strict({"http://a/1": Redirected("http://[")})
    assert reasons(download_urls(tmp_path, fetcher, "http://a/1")) == ["not a valid URL"]


@pytest.mark.parametrize(
    "location", ["http://127.0.0.2:1/secret", "http://inside.test/secret"], ids=["address", "name"]
)
def test_a_redirect_into_the_network_is_refused(location: str, tmp_path: Path) -> None:
    loopback = ipaddress.ip_address("127.0.0.1")
    inside = ipaddress.ip_address("10.0.0.1")
    guard = AddressGuard(
        is_allowed=lambda address: address == loopback,
        resolver=lambda host, port: [inside] if host == "inside.test" else resolve(host, port),
    )
    redirect = Reply(status=302, headers={"Location": location})
    with serve_images({"/a.jpg": redirect}) as site, make_client(ClientSettings(guard)) as client:
        folder = download_urls(tmp_path, Fetcher(client, guard, RobotsRules(client)), site.url("/a.jpg"))
    assert [reason.partition(" (")[0] for reason in reasons(folder)] == [
        f"{location.split('/')[2].partition(':')[0]} is not on the public internet"
    ]


def test_everything_that_a_server_does_wrong_is_a_failure_with_a_reason(tmp_path: Path) -> None:
    content = make_jpeg(1)
    wrong = {
        "/same": (Reply(content), "same content as"),
        "/page.jpg": (Reply(b"<!DOCTYPE html><p>gone"), "a web page, not an image"),
        "/drawing.svg": (Reply(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "an SVG drawing, which has no pixels"),
        "/empty": (Reply(b""), "the answer is empty"),
        "/cut": (Reply(content, cut=500), "without sending complete message body"),
        "/short": (Reply(content[:500], content_length=False), "the image is truncated"),
        "/endless": (Endless(), "larger than 1.0 MB"),
        "/header": (Reply(content, headers={"X-Long": "x" * 200_000}), ""),
        "/loop": (Reply(status=302, headers={"Location": "/loop"}), "more than 5 redirects"),
        "/ftp": (Reply(status=302, headers={"Location": "ftp://a/b"}), "ftp URL, where http or https is expected"),
        "/down": (
            Reply(status=503, headers={"Retry-After": "9999"}),
            "503 Service Unavailable and asks to wait 9999 s",
        ),
    }
    replies = {"/good": Reply(content), **{path: reply for path, (reply, _) in wrong.items()}}
    with serve_images(replies) as site, make_client(ClientSettings(ALLOW_ALL)) as client:
        fetcher = Fetcher(client, ALLOW_ALL, None, FetchLimits(max_bytes=1_000_000))
        # One at a time: the last one makes its host refuse all that follow.
        pace = dataclasses.replace(FAST, workers=1, per_host=1)
        urls = [site.url(path) for path in ("/good", *(path for path in wrong if path != "/down"))]
        first = download_urls(tmp_path, fetcher, *urls, pace=pace)
        last = download_urls(tmp_path, fetcher, site.url("/down"), pace=pace)
        failures = {one.url.removeprefix(site.origin): one.reason for one in (*first.new_failures, *last.new_failures)}
    assert failures.keys() == wrong.keys()
    assert not {path: reason for path, reason in failures.items() if wrong[path][1] not in reason}
    assert first.count == last.count == 1


def test_a_busy_host_is_asked_again_after_the_time_that_it_names(tmp_path: Path) -> None:
    fetcher = FakeFetcher({"http://a/1": [Busy("503", 0.2), image(1)]})
    assert download_urls(tmp_path, fetcher, "http://a/1").count == 1
    first, second = fetcher.started_s["a"]
    assert second - first >= 0.2


def test_a_busy_host_is_given_up_after_some_attempts_until_the_next_run(tmp_path: Path) -> None:
    fetcher = FakeFetcher({"http://a/1": Busy("503")})
    folder = download_urls(tmp_path, fetcher, "http://a/1")
    assert reasons(folder) == ["503"] and len(fetcher.urls) == 3
    assert not folder.new_failures[0].is_permanent


def test_a_host_that_asks_for_an_hour_is_left_to_a_later_run_with_all_its_images(tmp_path: Path) -> None:
    urls = [f"http://a/{i}" for i in range(5)]
    fetcher = FakeFetcher({url: Busy("429", 3600.0) for url in urls})
    folder = download_urls(tmp_path, fetcher, *urls, pace=Pace(workers=1, per_host=1, delay_s=0.0))
    assert reasons(folder) == ["429 and asks to wait 3600 s"] * 5
    assert len(fetcher.urls) == 1


def test_a_second_run_fetches_only_what_may_work_now(tmp_path: Path) -> None:
    outcomes: dict[str, list[Outcome] | Outcome] = {
        "http://a/1": image(1),
        "http://a/gone": Failed("404"),
        "http://a/busy": [Busy("503"), Busy("503"), Busy("503"), image(3)],
    }
    download_urls(tmp_path, FakeFetcher(outcomes), *outcomes)
    again = FakeFetcher(outcomes)
    assert download_urls(tmp_path, again, *outcomes).count == 2 and again.urls == ["http://a/busy"]
    third = FakeFetcher(outcomes)
    assert download_urls(tmp_path, third, *outcomes).count == 2 and not third.urls


def test_an_image_that_was_removed_is_not_fetched_again_but_another(tmp_path: Path) -> None:
    outcomes = {"http://a/1": image(1), "http://a/2": image(2), "http://a/same": image(1), "http://a/3": image(3)}
    first = download_urls(tmp_path, FakeFetcher(outcomes), "http://a/1", "http://a/2")
    removed = tmp_path / next(origin.file for origin in first.origins if origin.url == "http://a/1")
    content = removed.read_bytes()
    removed.unlink()
    again = FakeFetcher(outcomes)
    second = download(tmp_path, again, (make_hit(url) for url in outcomes), wanted=2)
    assert again.urls == ["http://a/same", "http://a/3"] and (second.count, second.removed) == (2, 1)
    assert reasons(second) == [f"same content as {removed.name}, which was removed"]
    # As `dedupe --undo` does.
    removed.write_bytes(content)
    with open_image_folder(tmp_path, Existing.CONTINUE) as folder:
        assert (folder.count, folder.removed) == (3, 0)


@pytest.mark.parametrize("function", ["write_whole", "append_origins"], ids=["image", "line"])
def test_a_full_disk_stops_with_a_way_to_resume(function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(image_folder, function, fail)
    with pytest.raises(DownloadError, match=r"No space left on device\); free space .* same command to resume"):
        download_urls(tmp_path, FakeFetcher({"http://a/1": image(1)}), "http://a/1")
    assert [path.name for path in tmp_path.iterdir()] == [MARKER_FILE]
    monkeypatch.undo()
    assert download_urls(tmp_path, FakeFetcher({"http://a/1": image(1)}), "http://a/1").count == 1


def test_an_unexpected_error_of_a_thread_is_raised(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="http://a/1"):
        download_urls(tmp_path, FakeFetcher({}), "http://a/1")


@pytest.mark.parametrize(
    "stop",
    [
        pytest.param("write_whole", id="before-the-image"),
        pytest.param("append_origins", id="before-the-line"),
    ],
)
def test_a_run_that_is_stopped_while_it_writes_is_completed_by_the_next(
    stop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = {f"http://a/{i}": image(i) for i in range(4)}
    original: Callable[..., None] = getattr(image_folder, stop)
    calls = []

    def interrupt(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        original(*arguments)

    monkeypatch.setattr(image_folder, stop, interrupt)
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        download_urls(tmp_path, FakeFetcher(outcomes), *outcomes)
    monkeypatch.undo()
    folder = download_urls(tmp_path, FakeFetcher(outcomes), *outcomes)
    assert folder.count == 4
    assert sorted(p.name for p in tmp_path.glob("*.jpg")) == sorted(o.file for o in folder.origins)
