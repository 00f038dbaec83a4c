"""`reefline download`: images of keywords, or of a list of addresses, one folder each."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
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
    check_owner,
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
    """One folder to fill: its name ("" is the output folder itself) and how many images it shall have, None for all.

    `find` returns the hits lazily, and tells the function that it is given which sources cannot be used.
    `sources` are their names.
    """

    name: str
    find: Callable[[Callable[[str], None]], Iterator[ImageHit]]
    wanted: int | None
    sources: tuple[str, ...]


@dataclass(frozen=True)
class FolderResult:
    """What a folder has after a download.

    `removed` is how many of its images were deleted or moved since, `unusable` how many of the sources failed.
    """

    path: Path
    images: int
    removed: int
    new_images: int
    wanted: int | None
    sources: tuple[str, ...]
    unusable: int
    failures: tuple[FailedDownload, ...]
    earlier_failures: int
    origins: tuple[ImageOrigin, ...]

    def describe_failures(self) -> str:
        """Return how many downloads failed and the most frequent reasons, "" if none did."""
        if self.failures:
            counts = Counter(failure.reason for failure in self.failures)
            reasons = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            listed = "; ".join(f"{count}× {reason}" for reason, count in reasons[:_LISTED_REASONS])
            return f"{len(self.failures)} failed ({listed}), see {self.path / FAILURES_FILE}"
        if self.earlier_failures:
            return f"{self.earlier_failures} failed in earlier runs, see {self.path / FAILURES_FILE}"
        return ""


class Listener(Protocol):
    """What a download reports on its way."""

    def warn(self, problem: str) -> None:
        """Hear of a service that cannot be used."""
        ...

    def done(self, result: FolderResult) -> None:
        """Hear what a folder with images has when it is done."""
        ...

    def progress(self, target: Target) -> contextlib.AbstractContextManager[Callable[[ImageFolder], None]]:
        """Return a context that shows the progress of one folder; its function is called with what the folder has."""
        ...


def search_targets(keywords: Sequence[str], query: Query, sources: Sequence[ImageSource]) -> list[Target]:
    """Return a target per keyword; nothing is searched before its hits are read.

    Raises:
        UsageError: a keyword has no usable folder name, or two share one.
    """
    names = tuple(source.name for source in sources)
    return [
        Target(folder, partial(_search, replace(query, keyword=keyword), sources), query.limit, names)
        for keyword, folder in name_folders(keywords).items()
    ]


def _search(query: Query, sources: Sequence[ImageSource], warn: Callable[[str], None]) -> Iterator[ImageHit]:
    """Return the hits of one source after the other; one that cannot be used only ends its own part."""
    for source in sources:
        try:
            yield from source.search(query)
        except SourceError as error:
            warn(str(error))


def list_targets(urls: dict[str, list[ImageHit]], limit: int | None, name: str) -> list[Target]:
    """Return a target per label of the list `name`; addresses without a label go to the output folder itself.

    Raises:
        UsageError: a label has no usable folder name, or two share one.
    """
    labels = name_folders(label for label in urls if label)
    return [Target(labels.get(label, ""), partial(_list, tuple(hits)), limit, (name,)) for label, hits in urls.items()]


def _list(hits: Sequence[ImageHit], _: Callable[[str], None]) -> Iterator[ImageHit]:
    return iter(hits)


def download_images(
    request: DownloadRequest, targets: Sequence[Target], client: httpx.Client, listener: Listener
) -> None:
    """Download the images of every target that their folders do not have yet.

    Raises:
        UsageError: a folder may not be written to.
        DownloadError: a target has no image at all, or an image cannot be written.
    """
    check_owner(request.out)
    for target in targets:
        check_image_folder(request.out / target.name, request.existing)
    is_new = not request.out.exists()
    problems = []
    robots = RobotsRules(client) if request.reads_robots else None
    with Downloader(Fetcher(client, request.guard, robots, request.limits), request.pace) as downloader:
        for target in targets:
            result = _fill(request, target, downloader, listener)
            if result.images:
                listener.done(result)
            else:
                problems.append(_describe_nothing(result))
    if is_new:
        _remove_if_empty(request.out)
    if problems:
        raise DownloadError(*problems)


def _fill(request: DownloadRequest, target: Target, downloader: Downloader, listener: Listener) -> FolderResult:
    path = request.out / target.name
    problems: list[str] = []

    def warn(problem: str) -> None:
        problems.append(problem)
        listener.warn(problem)

    with open_image_folder(path, request.existing) as folder:
        with listener.progress(target) as show:
            show(folder)
            downloader.download(folder, target.find(warn), target.wanted, show)
        result = FolderResult(
            path=path,
            images=folder.count,
            removed=folder.removed,
            new_images=folder.new_images,
            wanted=target.wanted,
            sources=target.sources,
            unusable=len(problems),
            failures=tuple(folder.new_failures),
            earlier_failures=folder.earlier_failures,
            origins=folder.origins,
        )
    if not result.images and not result.failures:
        _remove_if_empty(path)
    return result


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _describe_nothing(result: FolderResult) -> str:
    failures = result.describe_failures()
    if failures:
        return f"{result.path}: no image could be downloaded: {failures}"
    sources = ", ".join(result.sources)
    if result.removed:
        return (
            f"{result.path}: no images: the {result.removed} downloaded earlier were deleted or moved, "
            "and there are no others; pass --overwrite to download them again"
        )
    if result.unusable == len(result.sources):
        return f"{result.path}: no images: no source can be used ({sources}), see the warnings; try again later"
    return f"{result.path}: no images found ({sources}); use other words or another --source"
