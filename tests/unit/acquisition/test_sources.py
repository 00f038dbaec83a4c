"""The adapters, on answers in the shapes that the services' documentation shows."""

from __future__ import annotations

import dataclasses
import itertools
import json
import urllib.parse
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from reefline.acquisition.guarded_client import ALLOW_ALL, ClientSettings, make_client
from reefline.acquisition.query import Color, ImageHit, ImageSource, Kind, License, Query, Size, SourceError
from reefline.acquisition.service_client import ServiceClient
from reefline.acquisition.sources.choice import SOURCE_NAMES, check_filters, keep_able, make_source
from reefline.errors import UsageError
from tests.image_server import Endless, EndlessHeader, Reply, serve_images

OPENVERSE_RESULT = {
    "id": "4bc43a04-ef46-4544-a0c1-63c63f56e276",
    "title": "Fox",
    "foreign_landing_url": "https://www.flickr.com/photos/18090920@N07/16444000000",
    "url": "https://live.staticflickr.com/7307/16444000000_b.jpg",
    "creator": "Ada",
    "license": "by-sa",
    "license_version": "2.0",
    "license_url": "https://creativecommons.org/licenses/by-sa/2.0/",
    "provider": "flickr",
    "source": "flickr",
    "height": 683,
    "width": 1024,
}
COMMONS_PAGE = {
    "pageid": 83547663,
    "ns": 6,
    "title": "File:Fox.jpg",
    "index": 2,
    "imageinfo": [
        {
            "size": 1353326,
            "width": 3746,
            "height": 2400,
            "thumburl": "https://upload.wikimedia.org/wikipedia/commons/thumb/a/a2/Fox.jpg/1920px-Fox.jpg",
            "thumbwidth": 1920,
            "thumbheight": 1230,
            "url": "https://upload.wikimedia.org/wikipedia/commons/a/a2/Fox.jpg",
            "descriptionurl": "https://commons.wikimedia.org/wiki/File:Fox.jpg",
            "mime": "image/jpeg",
            "extmetadata": {
                "LicenseShortName": {"value": "CC BY-SA 4.0", "source": "commons-desc-page", "hidden": ""},
                "LicenseUrl": {"value": "https://creativecommons.org/licenses/by-sa/4.0"},
                "Artist": {"value": '<a href="//commons.wikimedia.org/wiki/User:Ada">Ada &amp; Co</a>'},
            },
        }
    ],
}
FLICKR_PHOTO = {
    "id": "2636",
    "owner": "47058503995@N01",
    "title": "fox",
    "license": "4",
    "ownername": "Ada",
    "url_z": "https://live.staticflickr.com/1/2636_z.jpg",
    "height_z": 427,
    "width_z": 640,
    "url_l": "https://live.staticflickr.com/1/2636_b.jpg",
    "height_l": "683",
    "width_l": "1024",
}
BING_PAGE = """<div class="imgpt"><a class="iusc" m='{"murl":"https://foxes.example/a.jpg","t":"fox"}'></a></div>
<div class="imgpt"><a class="other"></a></div>
<div class="imgpt"><a m='{&quot;murl&quot;:&quot;https://foxes.example/b.jpg&quot;}'></a></div>"""
GOOGLE_PAGE = r"""<html><script>AF_initDataCallback({data:["https://foxes.example/a.jpg",683,1024],
["https://foxes.example/b\u003d1.png",100,100]});</script></html>"""
BAIDU_PAGE = json.dumps(
    {"data": [{"objURL": "ippr_z2C$qAzdH3FAzdH3Fu5x_z&e3Bv54AzdH3Fw_z&e3B3r2"}, {"hoverURL": "https://b.cn/b.jpg"}, {}]}
)
DUCKDUCKGO_RESULT = {
    "title": "Fox",
    "image": "https://foxes.example/a.jpg",
    "thumbnail": "https://tse1.mm.bing.net/th?id=1",
    "url": "https://foxes.example/a",
    "height": 683,
    "width": 1024,
    "source": "Bing",
}


class FakeService:
    """A service that gives one answer after another, and remembers what it was asked."""

    def __init__(self, *answers: httpx.Response) -> None:
        self._answers = iter(answers)
        self.urls: list[httpx.URL] = []
        self.slept_s: list[float] = []
        client = httpx.Client(transport=httpx.MockTransport(self._answer))
        self.client = ServiceClient(client, sleep=self.slept_s.append)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.urls.append(request.url)
        return next(self._answers)

    def parameters(self, number: int = 0) -> dict[str, str]:
        return dict(self.urls[number].params)


def answers(*contents: Any) -> FakeService:
    return FakeService(
        *(httpx.Response(200, json=c) if not isinstance(c, str) else httpx.Response(200, text=c) for c in contents)
    )


def search(name: str, service: FakeService, **query: Any) -> list[ImageHit]:
    return list(make_source(name, service.client).search(Query("red fox", **query)))


def openverse_page(*results: Any, pages: int = 1) -> dict[str, Any]:
    return {"result_count": 240, "page_count": pages, "page_size": 20, "page": 1, "results": list(results)}


def test_openverse_states_license_author_and_page() -> None:
    assert search("openverse", answers(openverse_page(OPENVERSE_RESULT))) == [
        ImageHit(
            url="https://live.staticflickr.com/7307/16444000000_b.jpg",
            source="openverse",
            page="https://www.flickr.com/photos/18090920@N07/16444000000",
            license="CC BY-SA 2.0",
            license_url="https://creativecommons.org/licenses/by-sa/2.0/",
            author="Ada",
            width_px=1024,
            height_px=683,
        )
    ]


@pytest.mark.parametrize(
    ("code", "version", "name"),
    [
        pytest.param("cc0", "1.0", "CC0 1.0", id="cc0"),
        pytest.param("pdm", "1.0", "Public Domain Mark 1.0", id="pdm"),
        pytest.param("by-nc-nd", "4.0", "CC BY-NC-ND 4.0", id="by-nc-nd"),
        pytest.param(None, None, None, id="none"),
    ],
)
def test_openverse_codes_become_names(code: str | None, version: str | None, name: str | None) -> None:
    result = {**OPENVERSE_RESULT, "license": code, "license_version": version}
    assert [hit.license for hit in search("openverse", answers(openverse_page(result)))] == [name]


def test_openverse_reads_page_after_page_and_passes_filters_on() -> None:
    service = answers(
        openverse_page(OPENVERSE_RESULT, {"url": None}, pages=2), openverse_page(OPENVERSE_RESULT, pages=2)
    )
    found = search("openverse", service, size=Size.LARGE, kind=Kind.PHOTO, license=License.COMMERCIAL_MODIFY)
    assert len(found) == 2 and [service.parameters(n)["page"] for n in (0, 1)] == ["1", "2"]
    expected = {"q": "red fox", "size": "large", "category": "photograph", "license_type": "commercial,modification"}
    assert expected.items() <= service.parameters().items()


def test_openverse_is_asked_for_the_public_domain_by_license() -> None:
    service = answers(openverse_page())
    search("openverse", service, license=License.PUBLIC_DOMAIN)
    assert service.parameters()["license"] == "cc0,pdm" and "license_type" not in service.parameters()


def test_pages_are_requested_only_when_they_are_read() -> None:
    service = answers(openverse_page(OPENVERSE_RESULT, pages=9))
    found = make_source("openverse", service.client).search(Query("red fox"))
    assert len(list(itertools.islice(found, 1))) == 1 and len(service.urls) == 1


def commons_answer(*pages: Any, more: bool = False) -> dict[str, Any]:
    position = {"continue": {"gsroffset": 50, "continue": "gsroffset||"}} if more else {}
    return {"batchcomplete": True, **position, "query": {"pages": list(pages)}}


def test_wikimedia_states_license_author_and_page_in_the_order_of_the_search() -> None:
    first = {**COMMONS_PAGE, "index": 1, "imageinfo": [{"url": "https://upload.wikimedia.org/b.png"}]}
    hits = search(
        "wikimedia", answers(commons_answer(COMMONS_PAGE, first, {"title": "File:Gone.jpg", "missing": True}))
    )
    assert hits == [
        ImageHit(url="https://upload.wikimedia.org/b.png", source="wikimedia"),
        ImageHit(
            url="https://upload.wikimedia.org/wikipedia/commons/thumb/a/a2/Fox.jpg/1920px-Fox.jpg",
            source="wikimedia",
            page="https://commons.wikimedia.org/wiki/File:Fox.jpg",
            license="CC BY-SA 4.0",
            license_url="https://creativecommons.org/licenses/by-sa/4.0",
            author="Ada & Co",
            width_px=1920,
            height_px=1230,
        ),
    ]


def test_wikimedia_continues_where_it_is_told() -> None:
    service = answers(commons_answer(COMMONS_PAGE, more=True), commons_answer(COMMONS_PAGE), {"batchcomplete": True})
    assert len(search("wikimedia", service, size=Size.SMALL)) == 2
    assert service.parameters(1)["gsroffset"] == "50" and service.parameters(1)["continue"] == "gsroffset||"
    assert service.parameters()["gsrsearch"] == "filetype:bitmap fileres:<500 red fox"


@pytest.mark.parametrize(
    ("license_name", "count"),
    [
        pytest.param("CC0", 1, id="cc0"),
        pytest.param("Public domain", 1, id="pd"),
        pytest.param("CC BY 4.0", 0, id="by"),
    ],
)
def test_wikimedia_keeps_only_the_public_domain_if_asked(license_name: str, count: int) -> None:
    info = {**COMMONS_PAGE["imageinfo"][0], "extmetadata": {"LicenseShortName": {"value": license_name}}}
    service = answers(commons_answer({**COMMONS_PAGE, "imageinfo": [info]}))
    assert len(search("wikimedia", service, license=License.PUBLIC_DOMAIN)) == count


LAGGED = {"error": {"code": "maxlag", "info": "Waiting for a database server: 7 seconds lagged"}}


def test_wikimedia_is_asked_again_when_its_databases_have_caught_up() -> None:
    service = FakeService(
        httpx.Response(200, json=LAGGED, headers={"Retry-After": "7"}),
        httpx.Response(200, json=commons_answer(COMMONS_PAGE)),
    )
    assert len(search("wikimedia", service)) == 1 and 7.0 in service.slept_s


def test_wikimedia_explains_its_own_errors() -> None:
    with pytest.raises(SourceError, match="wikimedia: Waiting for a database server: 7 seconds lagged"):
        search("wikimedia", answers(*[LAGGED] * 4))
    with pytest.raises(SourceError, match="wikimedia: Invalid search"):
        search("wikimedia", answers({"error": {"code": "badsearch", "info": "Invalid search"}}))


@pytest.fixture
def flickr_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLICKR_APIKEY", "key")


def flickr_answer(*photos: Any, page: int = 1, pages: int = 1) -> dict[str, Any]:
    return {"photos": {"page": page, "pages": pages, "perpage": 100, "total": 2, "photo": list(photos)}, "stat": "ok"}


@pytest.mark.usefixtures("flickr_key")
def test_flickr_states_license_author_and_page_in_one_request_per_page() -> None:
    service = answers(flickr_answer(FLICKR_PHOTO, {"id": "1"}, pages=2), flickr_answer(FLICKR_PHOTO, page=2, pages=2))
    hits = search("flickr", service, license=License.COMMERCIAL, color=Color.MONOCHROME)
    assert len(service.urls) == 2 and len(hits) == 2
    assert hits[0] == ImageHit(
        url="https://live.staticflickr.com/1/2636_b.jpg",
        source="flickr",
        page="https://www.flickr.com/photos/47058503995@N01/2636",
        license="CC BY 2.0",
        license_url="https://creativecommons.org/licenses/by/2.0/",
        author="Ada",
        width_px=1024,
        height_px=683,
    )
    expected = {"text": "red fox", "api_key": "key", "license": "4,5,6,7,8,9,10,11,12,13", "styles": "blackandwhite"}
    assert expected.items() <= service.parameters().items()


@pytest.mark.usefixtures("flickr_key")
def test_flickr_gives_the_rendition_of_the_size() -> None:
    hits = search("flickr", answers(flickr_answer(FLICKR_PHOTO)), size=Size.MEDIUM)
    assert [(hit.url, hit.width_px) for hit in hits] == [("https://live.staticflickr.com/1/2636_z.jpg", 640)]


@pytest.mark.usefixtures("flickr_key")
def test_flickr_explains_a_wrong_key() -> None:
    answer = {"stat": "fail", "code": 100, "message": "Invalid API Key (Key has invalid format)"}
    with pytest.raises(SourceError, match=r"flickr: Invalid API Key .*; check FLICKR_APIKEY"):
        search("flickr", answers(answer))


def test_flickr_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLICKR_APIKEY", raising=False)
    with pytest.raises(UsageError, match=r"--source flickr: its API needs a key.* set FLICKR_APIKEY"):
        search("flickr", answers())


@pytest.mark.parametrize(
    ("name", "page", "empty", "urls"),
    [
        pytest.param("bing", BING_PAGE, "<html></html>", ["https://foxes.example/a.jpg", "https://foxes.example/b.jpg"],
                     id="bing"),
        pytest.param("google", GOOGLE_PAGE, "<html></html>",
                     ["https://foxes.example/a.jpg", "https://foxes.example/b=1.png"], id="google"),
        pytest.param("baidu", BAIDU_PAGE, '{"data": [{}]}', ["http://fox.com/a.jpg", "https://b.cn/b.jpg"], id="baidu"),
    ],
)  # fmt: skip
def test_search_engines_give_addresses_until_a_page_has_none_new(
    name: str, page: str, empty: str, urls: list[str]
) -> None:
    service = answers(page, page)
    assert [hit.url for hit in search(name, service)] == urls
    assert len(service.urls) == 2
    service = answers(page, empty)
    hits = search(name, service)
    assert {(hit.source, hit.license) for hit in hits} == {(name, None)}


@pytest.mark.parametrize(
    ("name", "parameter", "expected"),
    [
        pytest.param("google", "tbs", "isz:l,itp:photo,ic:gray,sur:fc", id="google"),
        pytest.param("bing", "qft", " filterui:imagesize-large filterui:photo-photo filterui:color2-bw"
                     " filterui:license-L2_L3_L4", id="bing"),
    ],
)  # fmt: skip
def test_search_engines_get_the_filters(name: str, parameter: str, expected: str) -> None:
    service = answers("<html></html>")
    search(
        name,
        service,
        size=Size.LARGE,
        kind=Kind.PHOTO,
        color=Color.MONOCHROME,
        license=License.COMMERCIAL,
        site="a.org",
    )
    asked = urllib.parse.parse_qs(str(service.urls[0].query, "ascii"))
    assert asked[parameter] == [expected] and asked["q"] == ["red fox site:a.org"]


def test_keywords_cannot_add_parameters_to_the_address() -> None:
    service = answers('{"data": []}')
    assert not list(make_source("baidu", service.client).search(Query("fox&rn=999#")))
    assert service.parameters()["word"] == "fox&rn=999#" and service.parameters()["rn"] == "30"


@pytest.fixture
def duckduckgo_pages(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """Answer ddgs instead of the service: one page of results, then none; the list receives what was asked."""
    ddgs_http = pytest.importorskip("ddgs.http_client")
    asked: list[dict[str, Any]] = []

    class Page:
        status_code = 200

        def __init__(self, content: str) -> None:
            self.text, self.content = content, content.encode()

    def request(_: object, method: str, url: str, params: dict[str, Any]) -> Page:
        if not url.endswith("i.js"):
            return Page("vqd='4-123'")
        asked.append(params)
        return Page(json.dumps({"results": [DUCKDUCKGO_RESULT] if len(asked) == 1 else []}))

    monkeypatch.setattr(ddgs_http.HttpClient, "request", request)
    yield asked


def test_duckduckgo_gives_page_and_size_but_no_license(duckduckgo_pages: list[dict[str, Any]]) -> None:
    hits = search("duckduckgo", answers(), color=Color.RED, license=License.MODIFY, kind=Kind.DRAWING, site="a.org")
    assert hits == [
        ImageHit(
            url="https://foxes.example/a.jpg",
            source="duckduckgo",
            page="https://foxes.example/a",
            width_px=1024,
            height_px=683,
        )
    ]
    assert duckduckgo_pages[0]["q"] == "red fox site:a.org"
    assert {"color:Red", "license:Modify", "type:line"} <= set(duckduckgo_pages[0]["f"].split(","))
    assert duckduckgo_pages[1]["s"] == "100"


@pytest.mark.parametrize("name", ["openverse", "wikimedia", "flickr"])
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param("<html>Just a moment…</html>", "the answer is not JSON", id="html"),
        pytest.param('{"stat": "ok", "results": 3, "query": 3}', "has another form than expected", id="other-shape"),
        pytest.param("[]", "has another form than expected", id="list"),
        pytest.param("[" * 100_000, "the answer is not JSON", id="nested"),
    ],
)
@pytest.mark.usefixtures("flickr_key")
def test_an_unexpected_answer_names_the_service(name: str, content: str, problem: str) -> None:
    with pytest.raises(SourceError, match=f"{name}: .*{problem}"):
        search(name, FakeService(httpx.Response(200, text=content)))


def test_a_page_that_cannot_be_parsed_names_the_service() -> None:
    with pytest.raises(SourceError, match="baidu: the page cannot be read"):
        search("baidu", answers("[]"))


def test_a_service_that_asks_to_wait_is_asked_again_then() -> None:
    service = FakeService(
        httpx.Response(429, headers={"Retry-After": "7"}),
        httpx.Response(503),
        httpx.Response(200, json=openverse_page()),
    )
    assert search("openverse", service) == []
    assert 7.0 in service.slept_s and 2.0 in service.slept_s


@pytest.mark.parametrize(
    ("responses", "problem"),
    [
        pytest.param([httpx.Response(429, headers={"Retry-After": "3600"})], "429 .* asks to wait 3600 s", id="long"),
        pytest.param([httpx.Response(503)] * 4, "the service answered 503", id="four-times"),
        pytest.param([httpx.Response(401)], "the service answered 401", id="refused"),
        pytest.param([httpx.Response(200, content=b"x" * 20_000_001)], "more than 20000000 bytes", id="too-large"),
    ],
)
def test_a_service_that_cannot_be_used_says_why(responses: list[httpx.Response], problem: str) -> None:
    with pytest.raises(SourceError, match=f"openverse: .*{problem}"):
        search("openverse", FakeService(*responses))


def test_without_network_a_service_is_not_asked_again() -> None:
    with make_client(ClientSettings()) as client, pytest.raises(SourceError, match=r"a: .*name\.invalid cannot be"):
        ServiceClient(client, sleep=lambda seconds: pytest.fail("waited") if seconds else None).get(
            "a", "http://name.invalid/"
        )


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Endless(block=b"x", pause_s=0.02), id="body"),
        pytest.param(EndlessHeader(block=b"x", pause_s=0.02), id="header"),
    ],
)
def test_a_service_whose_answer_trickles_is_given_up(reply: Reply) -> None:
    with serve_images({"/": reply}) as site, make_client(ClientSettings(ALLOW_ALL)) as client:
        service = ServiceClient(client, max_answer_s=0.2)
        with pytest.raises(SourceError, match=r"a: the answer took longer than 0\.2 s; try again later"):
            service.get("a", site.url("/"))


def test_requests_to_services_are_a_second_apart() -> None:
    service = answers(openverse_page(OPENVERSE_RESULT, pages=2), openverse_page(pages=2))
    search("openverse", service)
    assert service.slept_s[1] > 0.9


def sources(*names: str) -> list[ImageSource]:
    return [make_source(name, answers().client) for name in names]


def test_a_filter_that_a_source_does_not_have_is_refused_with_those_that_have_it() -> None:
    with pytest.raises(UsageError, match=r"cannot filter by --color red") as raised:
        check_filters(sources("openverse", "baidu"), Query("fox", color=Color.RED, license=License.ANY))
    assert raised.value.problems == (
        "openverse cannot filter by --color red; these can: duckduckgo, bing, google, baidu (--source NAME)",
        "baidu cannot filter by --license any; these can: openverse, wikimedia, flickr, duckduckgo, bing, google "
        "(--source NAME)",
    )  # fmt: skip


def test_of_the_default_sources_those_without_a_filter_are_left_out_aloud() -> None:
    warnings: list[str] = []
    kept = keep_able(sources("openverse", "wikimedia"), Query("fox", kind=Kind.PHOTO), warnings.append)
    assert [source.name for source in kept] == ["openverse"]
    assert warnings == ["wikimedia cannot filter by --type photo, so it is not asked"]


def test_if_no_default_source_has_a_filter_all_are_kept_for_the_error() -> None:
    assert len(keep_able(sources("openverse", "wikimedia"), Query("fox", site="a.org"), pytest.fail)) == 2


def test_an_unknown_source_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"--source altavista: expected one of openverse, .*, baidu"):
        make_source("altavista", answers().client)


@pytest.mark.usefixtures("flickr_key")
@pytest.mark.parametrize("name", SOURCE_NAMES)
def test_no_source_claims_a_filter_that_it_does_not_pass_on(name: str, duckduckgo_pages: list[dict[str, Any]]) -> None:
    """Each filter that a source has changes what it asks for, or what it keeps."""
    plain = Query("fox")
    filters = make_source(name, answers().client).filters
    queries = [
        *(dataclasses.replace(plain, size=value) for value in filters.sizes),
        *(dataclasses.replace(plain, kind=value) for value in filters.kinds),
        *(dataclasses.replace(plain, color=value) for value in filters.colors),
        *(dataclasses.replace(plain, license=value) for value in filters.licenses),
    ]
    # All of Commons is free; the public domain is filtered after the search. All of Openverse has an open license.
    free = {License.ANY, License.COMMERCIAL, License.MODIFY, License.COMMERCIAL_MODIFY, License.PUBLIC_DOMAIN}
    without_effect = free if name == "wikimedia" else set()
    for query in queries:
        if query.license in without_effect:
            continue
        assert _ask(name, query, duckduckgo_pages) != _ask(name, plain, duckduckgo_pages), query


def _ask(name: str, query: Query, duckduckgo_pages: list[dict[str, Any]]) -> str:
    """Return what a service is asked for and what is read from a fixed answer."""
    contents = {
        "openverse": openverse_page(OPENVERSE_RESULT),
        "wikimedia": commons_answer(COMMONS_PAGE),
        "flickr": flickr_answer({**FLICKR_PHOTO, "url_z": None}, {**FLICKR_PHOTO, "url_l": None}),
        "baidu": '{"data": []}',
    }
    service = answers(contents.get(name, "<html></html>"))
    duckduckgo_pages.clear()
    hits = [hit.url for hit in make_source(name, service.client).search(query)]
    return f"{service.urls} {duckduckgo_pages} {hits}"
