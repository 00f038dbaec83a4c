"""Google, Bing and Baidu: icrawler knows the addresses of their result pages, and finds images in them."""

from __future__ import annotations

import logging
import queue
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from reefline.acquisition.query import Color, Filters, ImageHit, Kind, License, Query, Size, SourceError
from reefline.acquisition.service_client import ServiceClient

# Icrawler's own limit: after that, the services repeat themselves.
_MAX_IMAGES = 1000
_COMMON_COLORS: Mapping[Color, str] = {
    color: color.value for color in Color if color not in (Color.COLOR, Color.MONOCHROME, Color.GRAY)
}
_GREY_SCALE = {Color.COLOR: "color", Color.MONOCHROME: "blackandwhite", Color.GRAY: "gray"}
_GOOGLE = Filters(
    sizes={Size.SMALL: "icon", Size.MEDIUM: "medium", Size.LARGE: "large"},
    kinds={
        Kind.PHOTO: "photo",
        Kind.CLIPART: "clipart",
        Kind.DRAWING: "linedrawing",
        Kind.ANIMATED: "animated",
        Kind.FACE: "face",
    },
    colors={**_COMMON_COLORS, **_GREY_SCALE},
    licenses={
        License.ANY: "noncommercial",
        License.COMMERCIAL: "commercial",
        License.MODIFY: "noncommercial,modify",
        License.COMMERCIAL_MODIFY: "commercial,modify",
    },
    site=True,
)
_BING = Filters(
    sizes={size: size.value for size in Size},
    kinds={
        Kind.PHOTO: "photo",
        Kind.CLIPART: "clipart",
        Kind.DRAWING: "linedrawing",
        Kind.ANIMATED: "animated",
        Kind.TRANSPARENT: "transparent",
    },
    colors={**_COMMON_COLORS, **_GREY_SCALE},
    licenses={
        License.ANY: "creativecommons",
        License.PUBLIC_DOMAIN: "publicdomain",
        License.COMMERCIAL: "commercial",
        License.MODIFY: "noncommercial,modify",
        License.COMMERCIAL_MODIFY: "commercial,modify",
    },
    site=True,
)
_BAIDU = Filters(
    sizes={size: size.value for size in Size},
    kinds={
        Kind.CLIPART: "clipart",
        Kind.DRAWING: "linedrawing",
        Kind.ANIMATED: "animated",
        Kind.FACE: "face",
    },
    colors={**_COMMON_COLORS, Color.MONOCHROME: "blackandwhite"},
)


@dataclass(frozen=True)
class _Service:
    """A service of icrawler's: its module has <prefix>Feeder and <prefix>Parser."""

    prefix: str
    filters: Filters
    # Its feeder puts the keyword into the address as it is.
    quotes_keyword: bool


SERVICES: Mapping[str, _Service] = MappingProxyType(
    {
        "google": _Service("Google", _GOOGLE, quotes_keyword=False),
        "bing": _Service("Bing", _BING, quotes_keyword=True),
        "baidu": _Service("Baidu", _BAIDU, quotes_keyword=True),
    }
)


class Crawled:
    """A search engine without an interface for programs: only the addresses of images are found."""

    def __init__(self, name: str, client: ServiceClient) -> None:
        self.name = name
        self._service = SERVICES[name]
        self.filters = self._service.filters
        self._client = client

    def search(self, query: Query) -> Iterator[ImageHit]:
        """Return images page by page, as `ImageSource` describes."""
        parser = make_part(self._service.prefix, "Parser")
        seen: set[str] = set()
        for page in self._list_pages(query):
            answer = self._client.get(self.name, page)
            urls = [url for url in self._parse(parser, answer) if url not in seen]
            if not urls:
                return
            seen.update(urls)
            yield from (ImageHit(url=url, source=self.name) for url in urls)

    def _list_pages(self, query: Query) -> list[str]:
        words = f"{query.keyword} site:{query.site}" if query.site else query.keyword
        asked = {
            "size": self.filters.sizes.get(query.size) if query.size else None,
            "type": self.filters.kinds.get(query.kind) if query.kind else None,
            "color": self.filters.colors.get(query.color) if query.color else None,
            "license": self.filters.licenses.get(query.license) if query.license else None,
        }
        feeder = make_part(self._service.prefix, "Feeder")
        feeder.feed(
            keyword=urllib.parse.quote(words) if self._service.quotes_keyword else words,
            offset=0,
            max_num=_MAX_IMAGES,
            filters={name: value for name, value in asked.items() if value} or None,
        )
        return list_queued(feeder)

    def _parse(self, parser: Any, answer: Any) -> list[str]:
        try:
            found: Iterable[Mapping[str, str]] = parser.parse(answer) or ()
            return [item["file_url"] for item in found]
        except Exception as error:  # a parser of pages that change without notice may raise anything
            raise SourceError(f"{self.name}: the page cannot be read ({error!r}); it may have changed") from error


def make_part(prefix: str, kind: str) -> Any:
    """Return one of icrawler's feeders or parsers on its own: without threads, and with a queue to read from."""
    import importlib

    logging.getLogger("icrawler").addHandler(logging.NullHandler())
    signal = importlib.import_module("icrawler.utils").Signal()
    module = importlib.import_module(f"icrawler.builtin.{prefix.lower()}")
    part = getattr(module, f"{prefix}{kind}")(1, signal, None)
    part.out_queue = queue.Queue()
    return part


def list_queued(feeder: Any) -> list[str]:
    """Return the addresses that a feeder has put into its queue."""
    return [feeder.out_queue.get_nowait() for _ in range(feeder.out_queue.qsize())]
