"""Files from the web: resumed where they were cut, checked by their hash, whole or not at all under their name."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO

from reefline.errors import DownloadError
from reefline.system.download_progress import DownloadProgress, format_bytes
from reefline.system.files import hash_file

if TYPE_CHECKING:
    import httpx

ATTEMPTS = 4
FIRST_PAUSE_S = 1.0
_CONNECT_TIMEOUT_S = 20.0
_READ_TIMEOUT_S = 60.0
_HTTP_OK, _HTTP_PARTIAL, _HTTP_RANGE_NOT_SATISFIABLE = 200, 206, 416
# Request timeout, too many requests: with all of 5xx, what a server says of its state and not of the file.
_PASSING_STATUSES = frozenset({408, 429})
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


class _CutError(Exception):
    """A connection or a server that failed in a way that may pass."""


@dataclass(frozen=True)
class _Job:
    """One download; `shown_url` is fit for a terminal: without password and query, which may hold a token."""

    url: str
    target: Path
    sha256: str

    @property
    def shown_url(self) -> str:
        parts = urllib.parse.urlsplit(self.url)
        return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

    @property
    def part(self) -> Path:
        """What has come so far; the hash in its name keeps it apart from another file's."""
        return self.target.with_name(f"{self.target.name}.{self.sha256[:16]}.part")

    @property
    def validator(self) -> Path:
        """The server's mark of the version that `part` is of, for If-Range."""
        return self.part.with_name(f"{self.part.name}.etag")


def download(
    url: str,
    target: Path,
    *,
    sha256: str,
    attempts: int = ATTEMPTS,
    first_pause_s: float = FIRST_PAUSE_S,
    stream: TextIO | None = None,
) -> None:
    """Download an http(s) URL to `target`, going on where an earlier try or run was cut.

    Until it is whole and has the right hash, the file is `<target>.<hash>.part`. A target that has the hash already
    costs no request. A cut connection is tried again `attempts` times in a row without a new byte, after pauses
    which double. Ranges are asked for as RFC 9110 says (Range, If-Range); a server that ignores them sends it all
    again. Progress goes to `stream`, standard output where none is given. Processes that want the same file take turns.

    Raises:
        DownloadError: the URL cannot be had, the disk is full, or the content has another hash.
    """
    job = _Job(url, target, sha256)
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError(f"{job.shown_url}: an http or https URL expected")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _hold(job.part) as file:
            if not (target.is_file() and hash_file(target) == sha256):
                with DownloadProgress(target.name, stream) as progress:
                    _fetch_whole(job, file, progress, attempts, first_pause_s)
                job.part.replace(target)
            _remove_part(job)
    except OSError as error:
        raise DownloadError(
            f"{target}: cannot be written ({error.strerror}); what has been downloaded of {job.shown_url} is kept: "
            "mend that and run again, it goes on from there"
        ) from error


@contextlib.contextmanager
def _hold(path: Path) -> Iterator[BinaryIO]:
    """Open a file for appending and lock it; where its holder renamed or removed it meanwhile, open the new one."""
    while True:
        with path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                try:
                    yield file
                finally:
                    if path.exists() and not path.stat().st_size:
                        path.unlink()
                return


def _remove_part(job: _Job) -> None:
    job.part.unlink(missing_ok=True)
    job.validator.unlink(missing_ok=True)


def _fetch_whole(job: _Job, file: BinaryIO, progress: DownloadProgress, attempts: int, first_pause_s: float) -> None:
    """Fill `file` until it has the hash. A resumed one that has not may mix two versions: once, it starts over."""
    was_resumed = _size(file) > 0
    if was_resumed and hash_file(job.part) == job.sha256:
        return
    _fetch(job, file, progress, attempts, first_pause_s)
    found = hash_file(job.part)
    if was_resumed and found != job.sha256:
        progress.say("what was there does not go with the rest; starts over")
        file.truncate(0)
        _fetch(job, file, progress, attempts, first_pause_s)
        found = hash_file(job.part)
    if found != job.sha256:
        _remove_part(job)
        raise DownloadError(
            f"{job.shown_url} has sha256 {found}, expected {job.sha256}; it is another file, "
            "so nothing of it was kept: correct the URL or the sha256"
        )


def _size(file: BinaryIO) -> int:
    file.flush()
    return os.fstat(file.fileno()).st_size


def _fetch(job: _Job, file: BinaryIO, progress: DownloadProgress, attempts: int, first_pause_s: float) -> None:
    """Request until the end has come; each new byte gives all attempts back."""
    import httpx

    timeout = httpx.Timeout(_READ_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S)
    most_bytes, failures = _size(file), 0
    with httpx.Client(follow_redirects=True, timeout=timeout) as client:
        while True:
            try:
                _request_rest(client, job, file, progress)
                return
            except (httpx.TransportError, _CutError) as error:
                size = _size(file)
                failures = 1 if size > most_bytes else failures + 1
                most_bytes = max(most_bytes, size)
                if failures >= attempts:
                    raise DownloadError(_explain_cut(job, error, size)) from error
                pause_s = first_pause_s * 2 ** (failures - 1)
                progress.say(f"cut ({error}); tries again in {pause_s:g} s")
                time.sleep(pause_s)
            except (httpx.InvalidURL, httpx.RequestError) as error:
                raise DownloadError(f"{job.shown_url} cannot be downloaded: {error}; correct the URL") from error


def _explain_cut(job: _Job, error: Exception, size: int) -> str:
    reason = str(error) or type(error).__name__
    if not size:
        return f"{job.shown_url} cannot be downloaded: {reason}; check the URL and the network, and run again"
    return (
        f"{job.shown_url} cannot be downloaded to its end: {reason}; the {format_bytes(size)} that are there are kept, "
        "and the next run goes on from them"
    )


def _request_rest(client: httpx.Client, job: _Job, file: BinaryIO, progress: DownloadProgress) -> None:
    """Ask for what is missing and append it; return once the server has sent the end."""
    have = _size(file)
    # A compressed answer would make byte ranges those of the compressed form.
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if job.validator.is_file():
            headers["If-Range"] = job.validator.read_text(encoding="utf-8")
    with client.stream("GET", job.url, headers=headers) as response:
        start, total = _read_range(response)
        if response.status_code == _HTTP_RANGE_NOT_SATISFIABLE and have:
            file.truncate(0)
            raise _CutError("the server's file is no longer than what was there, so it is another")
        _check_status(response, job)
        if start != have:
            file.truncate(0)
        if start not in (0, have):
            raise _CutError("the server sent another part of the file than was asked for")
        _keep_validator(response, job)
        progress.begin(_size(file), total)
        # Raw, as it comes: what httpx gathers into larger chunks is lost when the connection is cut.
        for chunk in response.iter_raw():
            file.write(chunk)
            progress.advance(len(chunk))
    received = _size(file)
    os.fsync(file.fileno())
    if total is not None and received < total:
        raise _CutError(f"{format_bytes(received)} of {format_bytes(total)} came")


def _read_range(response: httpx.Response) -> tuple[int | None, int | None]:
    """Return where the answer's bytes begin and how many the whole file has, None where it does not say."""
    if response.status_code == _HTTP_OK:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdigit() else None
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if found is None:
        return None, None
    start, total = found.groups()
    return (int(start) if start else None), (int(total) if total != "*" else None)


def _check_status(response: httpx.Response, job: _Job) -> None:
    status = response.status_code
    said = f"the server says {status} {response.reason_phrase}".rstrip()
    if status in _PASSING_STATUSES or response.is_server_error:
        raise _CutError(said)
    if status not in (_HTTP_OK, _HTTP_PARTIAL):
        raise DownloadError(f"{job.shown_url} cannot be downloaded: {said}; correct the URL")


def _keep_validator(response: httpx.Response, job: _Job) -> None:
    """Keep what If-Range takes: a strong ETag, or the date (RFC 9110, section 13.1.5)."""
    etag = response.headers.get("ETag", "")
    mark = etag if etag.startswith('"') else response.headers.get("Last-Modified", "")
    if mark:
        job.validator.write_text(mark, encoding="utf-8")
    else:
        job.validator.unlink(missing_ok=True)
