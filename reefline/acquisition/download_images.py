"""`reefline download`: images of keywords, or of a list of addresses, one folder each."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from reefline.acquisition.downloading import Downloader, Pace
from reefline.acquisition.fetching import Fetcher, FetchLimits
from reefline.acquisition.folder_names import name_folders
from reefline.acquisition.guarded_client import AddressGuard
from reefline.acquisition.image_folder import (
    FAILURES_FILE,
    Existing,
    FailedDownload,
    ImageFolder,
    check_image_folder,
    open_image_folder,
)
from reefline.acquisition.query import ImageHit, ImageSource, Query, SourceError
from reefline.acquisition.robots import RobotsRules
from reefline.errors import DownloadError
from reefline.structures.image_origin import ImageOrigin

if TYPE_CHECKING:
    import httpx

_LISTED_REASONS = 3


@dataclass(frozen=True)
class DownloadRequest:
    """How to download: where to, what to do with existing folders, and how to treat hosts."""

    out: Path
    existing: Existing = Existing.CONTINUE
    guard: AddressGuard = field(default_factory=AddressGuard)
    pace: Pace = field(default_factory=Pace)
    limits: FetchLimits = field(default_factory=FetchLimits)
    reads_robots: bool = True


@dataclass(frozen=True)
class Target:
    """One folder to fill: its name ("" is the output folder itself), its hits, how many images it shall have.

    `searched` names where the hits come from.
    """

    name: str
    hits: Iterator[ImageHit]
    wanted: int | None
    searched: str


@dataclass(frozen=True)
class FolderResult:
    """What a folder has after a download."""

    path: Path
    images: int
    new_images: int
    wanted: int | None
    searched: str
    failures: tuple[FailedDownload, ...]
    earlier_failures: int
    origins: tuple[ImageOrigin, ...]

    def describe_failures(self) -> str:
        """Return how many downloads failed and the most frequent reasons, "" if none did."""
        if self.failures:
            reasons = Counter(failure.reason for failure in self.failures).most_common(_LISTED_REASONS)
            listed = "; ".join(f"{count}× {reason}" for reason, count in reasons)
            return f"{len(self.failures)} failed ({listed}), see {self.path / FAILURES_FILE}"
        if self.earlier_failures:
            return f"{self.earlier_failures} failed in earlier runs, see {self.path / FAILURES_FILE}"
        return ""


class Listener(Protocol):
    """What a download reports on its way."""

    def warn(self, problem: str) -> None:
        """Hear of a service that cannot be used."""
        ...

    def progress(self, target: Target) -> contextlib.AbstractContextManager[Callable[[ImageFolder], None]]:
        """Return a context that shows the progress of one folder; its function is called with what the folder has."""
        ...


def search_targets(
    keywords: Sequence[str], query: Query, sources: Sequence[ImageSource], listener: Listener
) -> list[Target]:
    """Return a target per keyword; nothing is searched before its hits are read.

    Raises:
        UsageError: a keyword has no usable folder name, or two share one.
    """
    names = ", ".join(source.name for source in sources)
    return [
        Target(folder, _search(replace(query, keyword=keyword), sources, listener), query.limit, names)
        for keyword, folder in name_folders(keywords).items()
    ]


def _search(query: Query, sources: Sequence[ImageSource], listener: Listener) -> Iterator[ImageHit]:
    """Return the hits of one source after the other; one that cannot be used only ends its own part."""
    for source in sources:
        try:
            yield from source.search(query)
        except SourceError as error:
            listener.warn(str(error))


def list_targets(urls: dict[str, list[ImageHit]], limit: int | None, searched: str) -> list[Target]:
    """Return a target per label of a list of addresses; those without a label go to the output folder itself.

    Raises:
        UsageError: a label has no usable folder name, or two share one.
    """
    labels = name_folders(label for label in urls if label)
    distinct = {label: {hit.url: hit for hit in hits}.values() for label, hits in urls.items()}
    return [
        Target(labels.get(label, ""), iter(hits), min(len(hits), limit or len(hits)), searched)
        for label, hits in distinct.items()
    ]


def download_images(
    request: DownloadRequest, targets: Sequence[Target], client: httpx.Client, listener: Listener
) -> list[FolderResult]:
    """Download the images of every target that their folders do not have yet.

    Raises:
        UsageError: a folder may not be written to.
        DownloadError: a target has no image at all, or an image cannot be written.
    """
    for target in targets:
        check_image_folder(request.out / target.name, request.existing)
    results = []
    robots = RobotsRules(client) if request.reads_robots else None
    with Downloader(Fetcher(client, request.guard, robots, request.limits), request.pace) as downloader:
        for target in targets:
            results.append(_fill(request, target, downloader, listener))
    problems = [_describe_nothing(result) for result in results if not result.images]
    if problems:
        raise DownloadError(*problems)
    return results


def _fill(request: DownloadRequest, target: Target, downloader: Downloader, listener: Listener) -> FolderResult:
    path = request.out / target.name
    with open_image_folder(path, request.existing) as folder:
        with listener.progress(target) as show:
            show(folder)
            downloader.download(folder, _with_missing(folder, target.hits), target.wanted, show)
        result = FolderResult(
            path=path,
            images=folder.count,
            new_images=folder.new_images,
            wanted=target.wanted,
            searched=target.searched,
            failures=tuple(folder.new_failures),
            earlier_failures=folder.earlier_failures,
            origins=folder.origins,
        )
    if not result.images and not result.failures:
        with contextlib.suppress(OSError):
            path.rmdir()
    return result


def _with_missing(folder: ImageFolder, hits: Iterator[ImageHit]) -> Iterator[ImageHit]:
    """Return the images that the folder once had, then those of the search."""
    for origin in folder.missing:
        yield ImageHit(
            url=origin.url,
            source=origin.source,
            page=origin.page,
            license=origin.license,
            license_url=origin.license_url,
            author=origin.author,
        )
    yield from hits


def _describe_nothing(result: FolderResult) -> str:
    failures = result.describe_failures()
    if failures:
        return f"{result.path}: no image could be downloaded: {failures}"
    return f"{result.path}: no images found ({result.searched}); use other words or another --source"
