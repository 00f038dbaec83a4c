"""Which search services are asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from reefline.acquisition.query import ImageSource, Query
from reefline.errors import UsageError

if TYPE_CHECKING:
    from reefline.acquisition.service_client import ServiceClient

# Those that state the license of each image, then those that find more.
SOURCE_NAMES = ("openverse", "wikimedia", "flickr", "duckduckgo", "bing", "google", "baidu")
DEFAULT_SOURCES = ("openverse", "wikimedia")


def make_source(name: str, client: ServiceClient, proxy: str | None = None) -> ImageSource:
    """Return the adapter of a service.

    Raises:
        UsageError: there is none of that name, or Flickr's key is missing.
    """
    from reefline.acquisition.sources.crawled import Crawled
    from reefline.acquisition.sources.duckduckgo import DuckDuckGo
    from reefline.acquisition.sources.flickr import KEY_VARIABLE, Flickr
    from reefline.acquisition.sources.openverse import Openverse
    from reefline.acquisition.sources.wikimedia import Wikimedia

    if name not in SOURCE_NAMES:
        raise UsageError(f"--source {name}: expected one of {', '.join(SOURCE_NAMES)}")
    if name == "openverse":
        return Openverse(client)
    if name == "wikimedia":
        return Wikimedia(client)
    if name == "duckduckgo":
        return DuckDuckGo(proxy)
    if name == "flickr":
        key = os.environ.get(KEY_VARIABLE, "")
        if not key:
            raise UsageError(f"--source flickr: its API needs a key; get one from Flickr and set {KEY_VARIABLE}")
        return Flickr(client, key)
    return Crawled(name, client)


def keep_able(sources: Sequence[ImageSource], query: Query, warn: Callable[[str], None]) -> list[ImageSource]:
    """Return the sources that honor every filter, and warn of the others; all if none does."""
    able = [source for source in sources if not source.filters.find_unsupported(query)]
    for source in sources:
        missing = ", ".join(source.filters.find_unsupported(query))
        if able and missing:
            warn(f"{source.name} cannot filter by {missing}, so it is not asked")
    return able or list(sources)


def check_filters(sources: Sequence[ImageSource], query: Query) -> None:
    """Check that every source honors every filter: an image that ignores --license is worse than none.

    Raises:
        UsageError: one does not; one problem per source, each with the sources that would.
    """
    problems = []
    for source in sources:
        for option in source.filters.find_unsupported(query):
            problems.append(f"{source.name} cannot filter by {option}; {_suggest(option, query)}")
    if problems:
        raise UsageError(*problems)


def _suggest(option: str, query: Query) -> str:
    from reefline.acquisition.sources.crawled import SERVICES
    from reefline.acquisition.sources.duckduckgo import DuckDuckGo
    from reefline.acquisition.sources.flickr import Flickr
    from reefline.acquisition.sources.openverse import Openverse
    from reefline.acquisition.sources.wikimedia import Wikimedia

    own = {source.name: source.filters for source in (Openverse, Wikimedia, Flickr, DuckDuckGo)}
    filters = {**own, **{name: service.filters for name, service in SERVICES.items()}}
    able = [name for name in SOURCE_NAMES if option not in filters[name].find_unsupported(query)]
    return f"these can: {', '.join(able)} (--source NAME)" if able else "none of the services can"
