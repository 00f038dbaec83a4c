"""DuckDuckGo's image search, through the library ddgs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reefline.acquisition.query import Color, Filters, ImageHit, Kind, License, Query, Size, SourceError

_MAX_PAGES = 10
_TIMEOUT_S = 10
_SHOWN_CHARACTERS = 120
# What ddgs says when a page has no image.
_NOTHING_FOUND = "No results found"


class DuckDuckGo:
    """Many images of any site; it states no license."""

    name = "duckduckgo"
    filters = Filters(
        sizes={Size.SMALL: "Small", Size.MEDIUM: "Medium", Size.LARGE: "Large"},
        kinds={
            Kind.PHOTO: "photo",
            Kind.CLIPART: "clipart",
            Kind.DRAWING: "line",
            Kind.ANIMATED: "gif",
            Kind.TRANSPARENT: "transparent",
        },
        colors={color: color.value.title() if color is not Color.COLOR else "color" for color in Color},
        licenses={
            License.ANY: "any",
            License.PUBLIC_DOMAIN: "Public",
            License.COMMERCIAL: "ShareCommercially",
            License.MODIFY: "Modify",
            License.COMMERCIAL_MODIFY: "ModifyCommercially",
        },
        site=True,
    )

    def __init__(self, proxy: str | None = None) -> None:
        self._proxy = proxy

    def search(self, query: Query) -> Iterator[ImageHit]:
        """Return images page by page, as `ImageSource` describes."""
        from ddgs import DDGS
        from ddgs.exceptions import DDGSException

        words = f"{query.keyword} site:{query.site}" if query.site else query.keyword
        options = self._describe(query)
        with DDGS(proxy=self._proxy, timeout=_TIMEOUT_S) as service:
            for page in range(1, _MAX_PAGES + 1):
                try:
                    found = service.images(words, page=page, max_results=None, backend="duckduckgo", **options)
                except DDGSException as error:
                    if _NOTHING_FOUND in str(error):
                        return
                    raise SourceError(f"{self.name}: {str(error)[:_SHOWN_CHARACTERS]}") from error
                yield from [hit for result in found if (hit := _read_hit(result))]

    def _describe(self, query: Query) -> dict[str, str]:
        options = {}
        if query.size:
            options["size"] = self.filters.sizes[query.size]
        if query.kind:
            options["type_image"] = self.filters.kinds[query.kind]
        if query.color:
            options["color"] = self.filters.colors[query.color]
        if query.license:
            options["license_image"] = self.filters.licenses[query.license]
        return options


def _read_hit(result: dict[str, Any]) -> ImageHit | None:
    if not result.get("image"):
        return None
    return ImageHit(
        url=str(result["image"]),
        source=DuckDuckGo.name,
        page=result.get("url") or None,
        width_px=_read_number(result.get("width")),
        height_px=_read_number(result.get("height")),
    )


def _read_number(text: Any) -> int | None:
    return int(text) if str(text).isdecimal() else None
