"""Wikimedia Commons: free images. https://commons.wikimedia.org/w/api.php, modules search and imageinfo."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from reefline.acquisition.license_names import is_public_domain, strip_tags
from reefline.acquisition.query import Filters, ImageHit, License, Query, Size, SourceError
from reefline.acquisition.service_client import ServiceClient

_URL = "https://commons.wikimedia.org/w/api.php"
_FILES_NAMESPACE = "6"
_PAGE_SIZE = "50"
# One of the widths that Wikimedia keeps thumbnails of ($wgThumbnailSteps); others it refuses. Originals are often far
# larger than any detector's input, and its policy asks for modest traffic.
_WIDTH_PX = "1920"
# Everything on Commons may be used commercially and changed (Commons:Licensing).
_FREE = ""


class Wikimedia:
    """Search by MediaWiki's API; images have a license and an author."""

    name = "wikimedia"
    filters = Filters(
        # CirrusSearch: fileres is the square root of width x height.
        sizes={Size.SMALL: "fileres:<500", Size.MEDIUM: "fileres:500,1200", Size.LARGE: "fileres:>1200"},
        licenses=dict.fromkeys(License, _FREE),
    )

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    def search(self, query: Query) -> Iterator[ImageHit]:
        """Return images page by page, as `ImageSource` describes."""
        parameters = self._describe(query)
        position: dict[str, str] = {}
        while True:
            answer = self._client.get_json(self.name, _URL, {**parameters, **position}, _find_lag)
            try:
                if "error" in answer:
                    raise SourceError(f"{self.name}: {answer['error'].get('info', 'refused')}")
                hits = _read_hits(answer.get("query", {}).get("pages", []))
                position = {name: str(value) for name, value in answer.get("continue", {}).items()}
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise SourceError(f"{self.name}: the answer has another form than expected ({error!r})") from error
            # The one filter that the search does not have.
            public_only = query.license is License.PUBLIC_DOMAIN
            yield from [hit for hit in hits if not public_only or is_public_domain(hit.license)]
            if not position:
                return

    def _describe(self, query: Query) -> dict[str, str]:
        words = ["filetype:bitmap", *([self.filters.sizes[query.size]] if query.size else []), query.keyword]
        return {
            "action": "query",
            "format": "json",
            "formatversion": "2",
            "generator": "search",
            "gsrsearch": " ".join(words),
            "gsrnamespace": _FILES_NAMESPACE,
            "gsrlimit": _PAGE_SIZE,
            "prop": "imageinfo",
            "iiprop": "url|size|mime|extmetadata",
            "iiurlwidth": _WIDTH_PX,
            "iiextmetadatafilter": "LicenseShortName|LicenseUrl|Artist",
            # Waits while their replicas lag, as API:Etiquette asks of scripts.
            "maxlag": "5",
        }


def _find_lag(content: bytes) -> str | None:
    """Return that the databases lag: the answer is a success (200) with a Retry-After (Manual:Maxlag parameter)."""
    with contextlib.suppress(ValueError, RecursionError, KeyError, TypeError):
        error = json.loads(content)["error"]
        if error["code"] == "maxlag":
            return str(error.get("info", "the databases lag"))
    return None


def _read_hits(pages: list[Any]) -> list[ImageHit]:
    """Read the files of a page in the order of the search: `pages` are sorted by their ids."""
    found = sorted(pages, key=lambda page: page.get("index", 0))
    return [_read_hit(page["imageinfo"][0]) for page in found if page.get("imageinfo")]


def _read_hit(info: Any) -> ImageHit:
    facts = info.get("extmetadata", {})

    def read(name: str) -> str | None:
        return strip_tags(str(facts.get(name, {}).get("value", "")))

    return ImageHit(
        url=info.get("thumburl") or info["url"],
        source=Wikimedia.name,
        page=info.get("descriptionurl"),
        license=read("LicenseShortName"),
        license_url=read("LicenseUrl"),
        author=read("Artist"),
        width_px=info.get("thumbwidth") or info.get("width"),
        height_px=info.get("thumbheight") or info.get("height"),
    )
