"""Openverse: openly licensed images of Flickr, museums and others. https://api.openverse.org/v1/"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reefline.acquisition.license_names import name_creative_commons
from reefline.acquisition.query import Filters, ImageHit, Kind, License, Query, Size, SourceError
from reefline.acquisition.service_client import ServiceClient

_URL = "https://api.openverse.org/v1/images/"
# What it gives anonymous users: 20 images a page, and 240 in all.
_PAGE_SIZE = 20
_MAX_PAGES = 12


class Openverse:
    """Search by Openverse's public API; every image has a license, most have an author."""

    name = "openverse"
    filters = Filters(
        sizes={size: size.value for size in Size},
        kinds={Kind.PHOTO: "photograph", Kind.CLIPART: "illustration"},
        licenses={
            License.ANY: "all",
            License.PUBLIC_DOMAIN: "cc0,pdm",
            License.COMMERCIAL: "commercial",
            License.MODIFY: "modification",
            License.COMMERCIAL_MODIFY: "commercial,modification",
        },
    )

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    def search(self, query: Query) -> Iterator[ImageHit]:
        """Return images page by page, as `ImageSource` describes."""
        parameters = self._describe(query)
        for page in range(1, _MAX_PAGES + 1):
            answer = self._client.get_json(self.name, _URL, {**parameters, "page": str(page)})
            try:
                results, pages = answer["results"], int(answer["page_count"])
                yield from [hit for result in results if (hit := _read_hit(result))]
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise SourceError(f"{self.name}: the answer has another form than expected ({error!r})") from error
            if page >= pages or not results:
                return

    def _describe(self, query: Query) -> dict[str, str]:
        parameters = {"q": query.keyword, "page_size": str(_PAGE_SIZE)}
        if query.size:
            parameters["size"] = self.filters.sizes[query.size]
        if query.kind:
            parameters["category"] = self.filters.kinds[query.kind]
        if query.license:
            name = "license" if query.license is License.PUBLIC_DOMAIN else "license_type"
            parameters[name] = self.filters.licenses[query.license]
        return parameters


def _read_hit(result: Any) -> ImageHit | None:
    if not result.get("url"):
        return None
    return ImageHit(
        url=result["url"],
        source=Openverse.name,
        page=result.get("foreign_landing_url"),
        license=name_creative_commons(result.get("license"), result.get("license_version")),
        license_url=result.get("license_url"),
        author=result.get("creator"),
        width_px=result.get("width"),
        height_px=result.get("height"),
    )
