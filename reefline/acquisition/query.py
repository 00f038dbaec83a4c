"""What to search for, and what a search service finds."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol


class Size(enum.Enum):
    """How large images should be; each service has its own limits."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


class Kind(enum.Enum):
    """What kind of image to find."""

    PHOTO = "photo"
    CLIPART = "clipart"
    DRAWING = "drawing"
    ANIMATED = "animated"
    TRANSPARENT = "transparent"
    FACE = "face"


class Color(enum.Enum):
    """The colors that prevail in an image."""

    COLOR = "color"
    MONOCHROME = "monochrome"
    RED = "red"
    ORANGE = "orange"
    YELLOW = "yellow"
    GREEN = "green"
    TEAL = "teal"
    BLUE = "blue"
    PURPLE = "purple"
    PINK = "pink"
    BROWN = "brown"
    BLACK = "black"
    GRAY = "gray"
    WHITE = "white"


class License(enum.Enum):
    """What a license must allow: any open license, none needed, commercial use, changes, or both of these."""

    ANY = "any"
    PUBLIC_DOMAIN = "public-domain"
    COMMERCIAL = "commercial"
    MODIFY = "modify"
    COMMERCIAL_MODIFY = "commercial-modify"


@dataclass(frozen=True)
class Query:
    """One search; `limit` is how many images are wanted, None filters accept everything."""

    keyword: str
    limit: int = 100
    size: Size | None = None
    kind: Kind | None = None
    color: Color | None = None
    license: License | None = None
    site: str | None = None

    @property
    def filters(self) -> tuple[object, ...]:
        """The filters that are set."""
        return tuple(value for value in (self.size, self.kind, self.color, self.license, self.site) if value)


@dataclass(frozen=True)
class Filters:
    """The filters of a service: its own word for each value that it knows, and whether it can search one site."""

    sizes: Mapping[Size, str] = field(default_factory=dict)
    kinds: Mapping[Kind, str] = field(default_factory=dict)
    colors: Mapping[Color, str] = field(default_factory=dict)
    licenses: Mapping[License, str] = field(default_factory=dict)
    site: bool = False

    def find_unsupported(self, query: Query) -> tuple[str, ...]:
        """Return the options of a query that the service cannot honor, as they are typed."""
        asked = (
            ("--size", query.size, self.sizes),
            ("--type", query.kind, self.kinds),
            ("--color", query.color, self.colors),
            ("--license", query.license, self.licenses),
        )
        missing = [f"{option} {value.value}" for option, value, known in asked if value and value not in known]
        return (*missing, *([f"--site {query.site}"] if query.site and not self.site else []))


@dataclass(frozen=True)
class ImageHit:
    """An image that a service found; None where it does not state something."""

    url: str
    source: str
    page: str | None = None
    license: str | None = None
    license_url: str | None = None
    author: str | None = None
    width_px: int | None = None
    height_px: int | None = None


class SourceError(Exception):
    """A search service that cannot be used now; the message names it."""


class ImageSource(Protocol):
    """A search service."""

    name: str
    filters: Filters

    def search(self, query: Query) -> Iterator[ImageHit]:
        """Return images lazily, the best match first, until the service has no more.

        Raises:
            SourceError: the service cannot be reached, refuses or answers something unexpected.
        """
        ...
