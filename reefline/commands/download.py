"""`reefline download`."""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Optional

import typer

from reefline.commands.options import Choice, JsonOption, OverwriteOption, parse_choice
from reefline.errors import UsageError
from reefline.system.terminal import ProgressBar, say, say_error, say_json

if TYPE_CHECKING:
    import httpx

    from reefline.acquisition.download_images import FolderResult, Listener, Target
    from reefline.acquisition.guarded_client import AddressGuard, ClientSettings
    from reefline.acquisition.image_folder import Existing, ImageFolder
    from reefline.acquisition.query import Query

_PLAIN_LINE_EVERY_S = 5.0
_DEFAULT_LIMIT = 100
_PROXY = re.compile(r"https?://[^\s/]+/?")
_SITE = re.compile(r"[^\s/:@]+\.[^\s/:@]+")


class _TerminatedError(KeyboardInterrupt):
    """SIGTERM. Decoders and search libraries catch any Exception, so it must not be one."""


def download(
    out: Annotated[Path, typer.Option(metavar="DIR", help="the folder for one folder per keyword")],
    keywords: Annotated[Optional[list[str]], typer.Argument(metavar="KEYWORD...", help="what to search for")] = None,
    limit: Annotated[
        Optional[int],
        typer.Option(
            metavar="N",
            min=1,
            show_default=False,
            help="images per keyword, those of earlier runs included; default: 100, with --from-urls all",
        ),
    ] = None,
    source: Annotated[
        Optional[list[str]],
        typer.Option(
            metavar="NAME",
            help="openverse, wikimedia, flickr, duckduckgo, bing, google or baidu, asked in the order given; "
            "may be repeated; default: openverse, wikimedia",
        ),
    ] = None,
    size: Annotated[Optional[str], typer.Option(metavar="small|medium|large")] = None,
    kind: Annotated[
        Optional[str], typer.Option("--type", metavar="photo|clipart|drawing|animated|transparent|face")
    ] = None,
    color: Annotated[
        Optional[str], typer.Option(metavar="NAME", help="color, monochrome, or the prevailing color, such as red")
    ] = None,
    license_: Annotated[
        Optional[str],
        typer.Option(
            "--license",
            metavar="any|public-domain|commercial|modify|commercial-modify",
            help="what the license must allow; any: any open license",
        ),
    ] = None,
    site: Annotated[Optional[str], typer.Option(metavar="HOST", help="search only this site")] = None,
    from_urls: Annotated[
        Optional[Path],
        typer.Option(metavar="FILE", help="download these instead: one URL per line, or CSV with url,label"),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="add to folders that have other files")] = False,
    overwrite: OverwriteOption = False,
    workers: Annotated[
        int, typer.Option(metavar="N", min=1, max=64, help="downloads at once, of which at most 2 from one host")
    ] = 8,
    delay: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, max=60, help="pause between requests to one host")
    ] = 0.5,
    contact: Annotated[
        str, typer.Option(metavar="TEXT", help="your e-mail or URL for the User-Agent; Wikimedia asks for one")
    ] = "",
    proxy: Annotated[Optional[str], typer.Option(metavar="URL", help="an HTTP proxy; none is used by default")] = None,
    ignore_robots: Annotated[bool, typer.Option("--ignore-robots", help="do not read robots.txt")] = False,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="also connect to private and loopback addresses")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Download images of keywords, one folder per keyword, with the license and origin of each."""
    from reefline.acquisition.download_images import DownloadRequest, download_images
    from reefline.acquisition.downloading import Pace
    from reefline.acquisition.guarded_client import make_client

    query = _parse_query(limit, size, kind, color, license_, site)
    request = DownloadRequest(
        out=out,
        existing=_choose_existing(resume=resume, overwrite=overwrite),
        guard=_make_guard(allow_private=allow_private),
        pace=Pace(workers=workers, delay_s=delay),
        reads_robots=not ignore_robots,
    )
    listener = _Recorder() if as_json else _Terminal()
    try:
        with _sigterm_like_ctrl_c(), make_client(_make_client_settings(request.guard, contact, proxy)) as client:
            if from_urls is None:
                targets = _search(keywords or [], query, source or [], client, proxy, listener)
            else:
                targets = _read_list(from_urls, limit, is_alone=not (keywords or source or query.filters))
            download_images(request, targets, client, listener)
    except KeyboardInterrupt as stop:
        is_ctrl_c = not isinstance(stop, _TerminatedError)
        say_error(f"stopped by {'Ctrl-C' if is_ctrl_c else 'SIGTERM'}; run the same command to resume")
        raise typer.Exit(128 + (signal.SIGINT if is_ctrl_c else signal.SIGTERM)) from None
    finally:
        # Also after an error: the folders of other keywords are complete.
        if isinstance(listener, _Recorder):
            say_json(listener.to_json())


@contextlib.contextmanager
def _sigterm_like_ctrl_c() -> Iterator[None]:
    def terminate(*_: object) -> NoReturn:
        raise _TerminatedError

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parse_query(
    limit: int | None, size: str | None, kind: str | None, color: str | None, license_: str | None, site: str | None
) -> Query:
    from reefline.acquisition.query import Color, Kind, License, Query, Size

    if site is not None and not _SITE.fullmatch(site):
        raise UsageError(f"--site {site}: expected a host, such as example.org")
    return Query(
        keyword="",
        limit=limit or _DEFAULT_LIMIT,
        size=_parse_optional("--size", size, Size),
        kind=_parse_optional("--type", kind, Kind),
        color=_parse_optional("--color", color, Color),
        license=_parse_optional("--license", license_, License),
        site=site,
    )


def _parse_optional(option: str, value: str | None, choices: type[Choice]) -> Choice | None:
    return None if value is None else parse_choice(option, value, choices)


def _choose_existing(*, resume: bool, overwrite: bool) -> Existing:
    from reefline.acquisition.image_folder import Existing
    from reefline.curation.output_folder import OutputMode, choose_output_mode

    existing = {
        OutputMode.NEW: Existing.CONTINUE,
        OutputMode.RESUME: Existing.RESUME,
        OutputMode.OVERWRITE: Existing.OVERWRITE,
    }
    return existing[choose_output_mode(resume=resume, overwrite=overwrite)]


def _make_guard(*, allow_private: bool) -> AddressGuard:
    from reefline.acquisition.guarded_client import ALLOW_ALL, AddressGuard

    return ALLOW_ALL if allow_private else AddressGuard()


def _make_client_settings(guard: AddressGuard, contact: str, proxy: str | None) -> ClientSettings:
    from reefline.acquisition.guarded_client import ClientSettings

    if not (contact.isascii() and contact.isprintable()):
        raise UsageError("--contact: expected printable ASCII, as HTTP headers allow")
    if proxy is not None and not _PROXY.fullmatch(proxy):
        raise UsageError("--proxy: expected http://HOST:PORT or https://HOST:PORT")
    return ClientSettings(guard=guard, contact=contact, proxy=proxy)


def _search(
    keywords: list[str], query: Query, names: list[str], client: httpx.Client, proxy: str | None, listener: Listener
) -> list[Target]:
    from reefline.acquisition.download_images import search_targets
    from reefline.acquisition.service_client import ServiceClient
    from reefline.acquisition.sources.choice import DEFAULT_SOURCES, check_filters, keep_able, make_source

    if not keywords:
        raise UsageError("nothing to download: pass KEYWORD... or --from-urls FILE")
    service = ServiceClient(client)
    sources = [make_source(name, service, proxy) for name in dict.fromkeys(names or DEFAULT_SOURCES)]
    if not names:
        sources = keep_able(sources, query, listener.warn)
    check_filters(sources, query)
    return search_targets(keywords, query, sources)


def _read_list(path: Path, limit: int | None, *, is_alone: bool) -> list[Target]:
    from reefline.acquisition.download_images import list_targets
    from reefline.acquisition.url_list import read_url_list

    if not is_alone:
        raise UsageError("--from-urls: the list names the images; leave out keywords, --source and the filters")
    return list_targets(read_url_list(path), limit, str(path))


class _Terminal:
    """Prints what a download reports."""

    def __init__(self) -> None:
        self._bar: ProgressBar | None = None

    def warn(self, problem: str) -> None:
        (self._bar.note if self._bar else say)(f"warning: {problem}")

    def done(self, result: FolderResult) -> None:
        for line in _describe(result):
            say(line)

    @contextlib.contextmanager
    def progress(self, target: Target) -> Iterator[Callable[[ImageFolder], None]]:
        name = target.name or "images"
        with ProgressBar(plain_line_every_s=_PLAIN_LINE_EVERY_S) as bar:

            def show(folder: ImageFolder) -> None:
                total = "" if target.wanted is None else f" of {target.wanted}"
                failed = f", {len(folder.new_failures)} failed" if folder.new_failures else ""
                bar.show(folder.count, target.wanted, f"{name}: {folder.count}{total} images{failed}")

            self._bar = bar
            try:
                yield show
            finally:
                self._bar = None


class _Recorder:
    """Collects what a download reports, for --json."""

    def __init__(self) -> None:
        self._warnings: list[str] = []
        self._folders: list[dict[str, Any]] = []

    def warn(self, problem: str) -> None:
        self._warnings.append(problem)

    def done(self, result: FolderResult) -> None:
        self._folders.append(
            {
                "folder": str(result.path),
                "images": result.images,
                "new_images": result.new_images,
                "wanted": result.wanted,
                "licenses": _count_licenses(result),
                "failures": [failure.to_json() for failure in result.failures],
            }
        )

    @contextlib.contextmanager
    def progress(self, _: Target) -> Iterator[Callable[[ImageFolder], None]]:
        yield lambda folder: None

    def to_json(self) -> dict[str, Any]:
        return {"folders": self._folders, "warnings": self._warnings}


def _count_licenses(result: FolderResult) -> dict[str, int]:
    from reefline.structures.image_origin import count_licenses

    by_file = {origin.file: origin for origin in result.origins}
    return count_licenses(by_file, by_file)


def _describe(result: FolderResult) -> Iterator[str]:
    licenses = ", ".join(f"{count} {name}" for name, count in _count_licenses(result).items())
    new = "" if result.new_images == result.images else f", {result.new_images} of them new"
    yield f"{result.path}: {result.images} images{new} (licenses: {licenses})"
    failures = result.describe_failures()
    if result.wanted is not None and result.images < result.wanted:
        reason = failures or f"no more in {', '.join(result.sources)}"
        yield f"warning: {result.path}: {result.images} of {result.wanted} images: {reason}"
    elif failures:
        yield f"warning: {result.path}: {failures}"
