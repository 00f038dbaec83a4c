from __future__ import annotations

import gzip
import ipaddress
import re
import time

import pytest

from reefline.acquisition.fetching import Busy, Failed, Fetched, Fetcher, FetchLimits, Outcome, Redirected
from reefline.acquisition.guarded_client import ALLOW_ALL, AddressGuard, ClientSettings, make_client
from reefline.acquisition.robots import RobotsRules
from tests.image_server import Endless, EndlessHeader, Reply, serve_images

LIMITS = FetchLimits()


def fetch(
    reply: Reply, *, limits: FetchLimits = LIMITS, read_timeout_s: float = 5.0, robots: Reply | None = None
) -> Outcome:
    replies = {"/a.jpg": reply} if robots is None else {"/a.jpg": reply, "/robots.txt": robots}
    settings = ClientSettings(ALLOW_ALL, read_timeout_s=read_timeout_s)
    with serve_images(replies) as site, make_client(settings) as client:
        rules = None if robots is None else RobotsRules(client)
        outcome = Fetcher(client, ALLOW_ALL, rules, limits).fetch(site.url("/a.jpg"))
        assert client.is_closed is False
        return outcome


def test_the_body_of_an_image_is_returned() -> None:
    assert fetch(Reply(b"pixels")) == Fetched(b"pixels")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        pytest.param(Reply(status=404), Failed("the server answered 404 Not Found"), id="not-found"),
        pytest.param(Reply(status=204), Failed("the server answered 204 No Content"), id="no-content"),
        pytest.param(
            Reply(status=429, headers={"Retry-After": "7"}), Busy("the server answered 429 Too Many Requests", 7.0),
            id="429-retry-after",
        ),
        pytest.param(
            Reply(status=503, headers={"Retry-After": "Mon, 01 Jan 2001 00:00:00 GMT"}),
            Busy("the server answered 503 Service Unavailable", 0.0),
            id="503-date",
        ),
        pytest.param(
            Reply(status=503, headers={"Retry-After": "soon"}), Busy("the server answered 503 Service Unavailable"),
            id="503-nonsense",
        ),
        pytest.param(Reply(status=302, headers={"Location": "ftp://a/b"}), Redirected("ftp://a/b"), id="redirect"),
    ],
)  # fmt: skip
def test_other_answers_are_told_apart(reply: Reply, expected: Outcome) -> None:
    assert fetch(reply) == expected


def test_a_relative_redirect_stays_on_the_host() -> None:
    outcome = fetch(Reply(status=301, headers={"Location": "../b.jpg"}))
    assert isinstance(outcome, Redirected) and outcome.url.endswith("/b.jpg") and "127.0.0.1" in outcome.url


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        pytest.param(Reply(b"x" * 100, cut=40), "without sending complete message body", id="cut-body"),
        pytest.param(Reply(headers={"X-Big": "x" * 200_000}), "header|too long|too large|Receive buffer", id="header"),
        pytest.param(Reply(headers={"Content-Encoding": "gzip"}, body=b"no gzip"), "", id="damaged-gzip"),
    ],
)
def test_broken_answers_are_temporary(reply: Reply, reason: str) -> None:
    outcome = fetch(reply)
    assert isinstance(outcome, Busy) or (isinstance(outcome, Failed) and not outcome.is_permanent)
    assert re.search(reason, outcome.reason)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Endless(), id="endless"),
        pytest.param(Reply(b"", headers={"Content-Length": "99999999999999999999"}), id="announced"),
    ],
)
def test_too_large_a_body_is_cut_off(reply: Reply) -> None:
    assert fetch(reply, limits=FetchLimits(max_bytes=1_000_000)) == Failed("larger than 1.0 MB")


# A gzip header with a file name (RFC 1952, section 2.3); zlib returns nothing before the name ends.
GZIP_NAME = b"\x1f\x8b\x08\x08" + bytes(6)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(gzip.compress(bytes(5_000_000)), headers={"Content-Encoding": "gzip"}), id="bomb"),
        pytest.param(Endless(GZIP_NAME, headers={"Content-Encoding": "gzip"}), id="endless-name"),
        pytest.param(Reply(b"x", headers={"Content-Encoding": "identity, GZIP"}), id="second-of-two"),
    ],
)
def test_a_compressed_body_is_refused_unread(reply: Reply) -> None:
    outcome = fetch(reply, limits=FetchLimits(max_bytes=1_000_000, max_seconds=5))
    assert isinstance(outcome, Failed) and not outcome.is_permanent
    assert re.fullmatch(r"the server compressed it \(gzip\) although it was asked not to", outcome.reason, re.I)


def test_an_encoding_that_is_none_is_ignored() -> None:
    assert fetch(Reply(b"pixels", headers={"Content-Encoding": "aws-chunked"})) == Fetched(b"pixels")


def test_an_uncompressed_body_is_asked_for() -> None:
    seen: list[str] = []
    with serve_images({"/a": Reply(b"a")}) as site, make_client(ClientSettings(ALLOW_ALL)) as client:
        client.event_hooks["request"].append(lambda request: seen.append(request.headers["Accept-Encoding"]))
        Fetcher(client, ALLOW_ALL, RobotsRules(client)).fetch(site.url("/a"))
    assert seen == ["identity", "identity"]


@pytest.mark.parametrize(
    ("reply", "robots"),
    [
        pytest.param(Endless(block=b"x", pause_s=0.02), None, id="body"),
        pytest.param(EndlessHeader(block=b"x", pause_s=0.02), None, id="header"),
        pytest.param(Reply(b"pixels"), Endless(block=b"x", pause_s=0.02), id="body-of-robots-txt"),
        pytest.param(Reply(b"pixels"), EndlessHeader(block=b"x", pause_s=0.02), id="header-of-robots-txt"),
        pytest.param(Endless(block=b"", pause_s=9), None, id="silence"),
    ],
)
def test_an_answer_that_trickles_is_given_up(reply: Reply, robots: Reply | None) -> None:
    outcome = fetch(reply, robots=robots, limits=FetchLimits(max_seconds=0.2))
    assert outcome == Failed("took longer than 0.2 s", is_permanent=False)


def test_behind_a_proxy_an_answer_that_trickles_is_given_up() -> None:
    url = "http://name.test/a.jpg"
    trickle = EndlessHeader(block=b"x", pause_s=0.02)
    with serve_images({url: trickle}) as proxy, make_client(ClientSettings(proxy=proxy.origin)) as client:
        outcome = Fetcher(client, AddressGuard(), None, FetchLimits(max_seconds=0.2)).fetch(url)
    assert outcome == Failed("took longer than 0.2 s", is_permanent=False)


def test_the_time_limit_of_a_request_does_not_shorten_the_next() -> None:
    with serve_images({"/a": Reply(b"a")}) as site, make_client(ClientSettings(ALLOW_ALL)) as client:
        fetcher = Fetcher(client, ALLOW_ALL, None, FetchLimits(max_seconds=0.3))
        for _ in range(3):
            assert fetcher.fetch(site.url("/a")) == Fetched(b"a")
            time.sleep(0.2)


def test_a_server_that_falls_silent_is_given_up() -> None:
    assert isinstance(fetch(Endless(block=b"x", pause_s=3.0), read_timeout_s=0.2), Busy)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        pytest.param("ftp://example.org/a", "ftp URL, where http or https is expected", id="ftp"),
        pytest.param("file:///etc/passwd", "file URL", id="file"),
        pytest.param("a.jpg", "no URL", id="relative"),
        pytest.param("http://", "http URL", id="no-host"),
        pytest.param("http://a\x00b/", "not a valid URL", id="control-character"),
        pytest.param("http://[::1", "not a valid URL", id="bracket"),
        pytest.param("http://a:99999999/", r"not a valid URL \(port 99999999\)", id="port"),
        pytest.param("http://10.0.0.1/a.jpg", "10.0.0.1 is not on the public internet", id="private"),
        pytest.param("http://user:pw@[::ffff:127.0.0.1]/", "is not on the public internet", id="mapped"),
    ],
)
def test_urls_that_cannot_be_requested_fail_for_good(url: str, reason: str) -> None:
    with make_client(ClientSettings()) as client:
        outcome = Fetcher(client, AddressGuard(), None).fetch(url)
    assert isinstance(outcome, Failed) and outcome.is_permanent
    assert re.search(reason, outcome.reason)


def test_behind_a_proxy_addresses_are_still_refused() -> None:
    with serve_images({}) as proxy, make_client(ClientSettings(proxy=proxy.origin)) as client:
        outcome = Fetcher(client, AddressGuard(), None).fetch("http://169.254.169.254/latest/meta-data")
        assert not proxy.paths
    assert outcome == Failed("169.254.169.254 is not on the public internet")


@pytest.mark.parametrize(
    ("robots", "expected"),
    [
        pytest.param(Reply(b"User-agent: *\nDisallow: /"), Failed("robots.txt of the host does not allow it"), id="no"),
        pytest.param(Reply(b"User-agent: other\nDisallow: /"), Fetched(b"pixels"), id="for-others"),
        pytest.param(Reply(b"User-agent: Reefline\nDisallow: /a"), Failed("robots.txt of the host does not allow it"),
                     id="for-us"),
        pytest.param(Reply(status=403), Fetched(b"pixels"), id="refused"),
        pytest.param(Reply(b"\xff\x00" * 400_000), Fetched(b"pixels"), id="binary"),
        pytest.param(Endless(GZIP_NAME, headers={"Content-Encoding": "gzip"}),
                     Busy("robots.txt: the server compressed it (gzip) although it was asked not to"), id="gzip"),
        pytest.param(Reply(status=500), Busy("robots.txt: the server answered 500"), id="error"),
    ],
)  # fmt: skip
def test_robots_txt_is_honored(robots: Reply, expected: Outcome) -> None:
    assert fetch(Reply(b"pixels"), robots=robots) == expected


def test_robots_txt_is_read_once_and_its_delay_is_limited() -> None:
    replies = {"/robots.txt": Reply(b"User-agent: *\nCrawl-delay: 86400"), "/a": Reply(b"a")}
    with serve_images(replies) as site, make_client(ClientSettings(ALLOW_ALL)) as client:
        fetcher = Fetcher(client, ALLOW_ALL, RobotsRules(client))
        host = site.origin.removeprefix("http://")
        assert fetcher.find_delay_s(host) == 0
        assert fetcher.fetch(site.url("/a")) == fetcher.fetch(site.url("/a")) == Fetched(b"a")
        assert site.count("/robots.txt") == 1
        assert fetcher.find_delay_s(host) == 30


def test_a_redirect_of_robots_txt_does_not_reach_a_private_address() -> None:
    loopback = ipaddress.ip_address("127.0.0.1")
    guard = AddressGuard(is_allowed=lambda address: address == loopback)
    redirect = Reply(status=302, headers={"Location": "http://127.0.0.2:1/robots.txt"})
    with serve_images({"/robots.txt": redirect}) as site, make_client(ClientSettings(guard)) as client:
        outcome = Fetcher(client, guard, RobotsRules(client)).fetch(site.url("/a"))
    assert outcome == Failed("127.0.0.2 is not on the public internet (127.0.0.2)")
