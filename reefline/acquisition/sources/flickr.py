"""Flickr, through icrawler's addresses of its API, which needs a key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reefline.acquisition.license_names import find_license_url, name_flickr
from reefline.acquisition.query import Color, Filters, ImageHit, Kind, License, Query, Size, SourceError
from reefline.acquisition.service_client import ServiceClient
from reefline.acquisition.sources.crawled import list_queued, make_part

KEY_VARIABLE = "FLICKR_APIKEY"
_PER_PAGE = 100
# The suffixes of Flickr's renditions, the preferred one first: 320 px; 640, 800; 2048, 1600, 1024, the original.
_RENDITIONS = {Size.SMALL: "nms", Size.MEDIUM: "zc", Size.LARGE: "khlo"}
_ANY_RENDITION = _RENDITIONS[Size.LARGE] + "cz" + _RENDITIONS[Size.SMALL]


class Flickr:
    """Photos with license and author; `key` is that of its API.

    One request answers a page: icrawler's own parser would ask for the renditions of each photo.
    """

    name = "flickr"
    filters = Filters(
        sizes={size: size.value for size in Size},
        kinds={Kind.PHOTO: "1"},
        colors={Color.MONOCHROME: "blackandwhite"},
        licenses={
            License.ANY: "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16",
            License.PUBLIC_DOMAIN: "7,8,9,10",
            License.COMMERCIAL: "4,5,6,7,8,9,10,11,12,13",
            License.MODIFY: "1,2,4,5,7,8,9,10,11,12,14,15",
            License.COMMERCIAL_MODIFY: "4,5,7,8,9,10,11,12",
        },
    )

    def __init__(self, client: ServiceClient, key: str) -> None:
        self._client = client
        self._key = key

    def search(self, query: Query) -> Iterator[ImageHit]:
        """Return images page by page, as `ImageSource` describes."""
        renditions = _RENDITIONS[query.size] if query.size else _ANY_RENDITION
        for page in self._list_pages(query):
            answer = self._client.get_json(self.name, page, {})
            try:
                if answer["stat"] != "ok":
                    raise SourceError(f"{self.name}: {answer.get('message', 'refused')}; check {KEY_VARIABLE}")
                photos = answer["photos"]["photo"]
                yield from [hit for photo in photos if (hit := _read_hit(photo, renditions))]
                pages = int(answer["photos"]["pages"])
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise SourceError(f"{self.name}: the answer has another form than expected ({error!r})") from error
            if int(answer["photos"]["page"]) >= pages:
                return

    def _list_pages(self, query: Query) -> list[str]:
        extras = ["license", "owner_name", *(f"url_{suffix}" for suffix in _ANY_RENDITION)]
        options = {"text": query.keyword, "sort": "relevance", "extras": ",".join(extras)}
        if query.license:
            options["license"] = self.filters.licenses[query.license]
        if query.kind:
            options["content_type"] = self.filters.kinds[query.kind]
        if query.color:
            options["styles"] = self.filters.colors[query.color]
        feeder = make_part("Flickr", "Feeder")
        feeder.feed(apikey=self._key, per_page=_PER_PAGE, **options)
        return list_queued(feeder)


def _read_hit(photo: Mapping[str, Any], renditions: str) -> ImageHit | None:
    suffix = next((suffix for suffix in renditions if photo.get(f"url_{suffix}")), None)
    if suffix is None:
        return None
    license_name = name_flickr(str(photo.get("license", "")))
    return ImageHit(
        url=photo[f"url_{suffix}"],
        source=Flickr.name,
        page=f"https://www.flickr.com/photos/{photo['owner']}/{photo['id']}",
        license=license_name,
        license_url=find_license_url(license_name),
        author=photo.get("ownername"),
        width_px=int(photo[f"width_{suffix}"]) if f"width_{suffix}" in photo else None,
        height_px=int(photo[f"height_{suffix}"]) if f"height_{suffix}" in photo else None,
    )
