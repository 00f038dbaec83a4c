"""Downloads that resume, are checked by their hash, and get their name only when complete."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO

from reefline.errors import DownloadError, HashMismatchError
from reefline.system.download_progress import DownloadProgress
from reefline.system.files import hash_file
from reefline.system.http_retry import is_offline, is_temporary
from reefline.system.terminal import format_bytes

if TYPE_CHECKING:
    import httpx

ATTEMPTS = 4
FIRST_PAUSE_S = 1.0
_CONNECT_TIMEOUT_S = 20.0
_READ_TIMEOUT_S = 60.0
_HTTP_OK, _HTTP_PARTIAL, _HTTP_RANGE_NOT_SATISFIABLE = 200, 206, 416
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


class _CutError(Exception):
    """A failure of the connection or the server that may be temporary."""


@dataclass(frozen=True)
class _Job:
    """One download; `shown_url` has no password and no query, which may hold a token."""

    url: str
    target: Path
    sha256: str | None

    @property
    def shown_url(self) -> str:
        return hide_secrets(self.url)

    @property
    def part(self) -> Path:
        """What has arrived so far; the hash in its name keeps it apart from parts of other files."""
        key = self.sha256 or hashlib.sha256(self.url.encode()).hexdigest()
        return self.target.with_name(f"{self.target.name}.{key[:16]}.part")

    @property
    def validator(self) -> Path:
        """The server's ETag or date of the file that `part` belongs to, for If-Range."""
        return self.part.with_name(f"{self.part.name}.etag")

    @property
    def can_resume(self) -> bool:
        """Whether something will show if the server's file is no longer the one that `part` belongs to."""
        return self.sha256 is not None or self.validator.is_file()


def hide_secrets(url: str) -> str:
    """Return a URL without password and query, which may hold a token."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def download(
    url: str,
    target: Path,
    *,
    sha256: str | None,
    attempts: int = ATTEMPTS,
    first_pause_s: float = FIRST_PAUSE_S,
    stream: TextIO | None = None,
) -> None:
    """Download an http(s) URL to `target`, resuming what an earlier attempt or run left.

    Until it is complete and has the right hash, the file is `<target>.<hash>.part`. If the target already has the
    hash, nothing is requested. After `attempts` failures in a row without a new byte it gives up; the pause between
    them doubles. It gives up at once if nothing has arrived yet and the host's name cannot be resolved. Resuming uses
    Range and If-Range (RFC 9110); a server that ignores them sends the file from its start.
    Without a known `sha256` nothing is checked: a target that exists is used, and only a download whose server sent a
    validator is resumed, as nothing else shows that the file is still the same.
    Progress goes to `stream`, by default standard output. Processes that download the same file take turns.

    Raises:
        DownloadError: the download failed, or the disk is full.
        HashMismatchError: the content has another hash; it was deleted.
    """
    job = _Job(url, target, sha256)
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError(f"{job.shown_url}: expected an http or https URL")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _hold(job.part) as file:
            if not (target.is_file() and sha256 in (None, hash_file(target))):
                with DownloadProgress(target.name, stream) as progress:
                    _fetch_checked(job, file, progress, attempts, first_pause_s)
                job.part.replace(target)
            _remove_part(job)
    except OSError as error:
        raise DownloadError(
            f"{target}: cannot write it ({error.strerror}); downloaded bytes of {job.shown_url} are kept: "
            "free space or fix permissions, then run again to resume"
        ) from error


@contextlib.contextmanager
def _hold(path: Path) -> Iterator[BinaryIO]:
    """Open a file for appending and lock it; if its holder renamed or removed it meanwhile, open the new one."""
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


def _fetch_checked(job: _Job, file: BinaryIO, progress: DownloadProgress, attempts: int, first_pause_s: float) -> None:
    """Download until `file` has the hash. A resumed file with another hash may mix two versions: restart it once."""
    if job.sha256 is None:
        _fetch(job, file, progress, attempts, first_pause_s)
        return
    was_resumed = _size(file) > 0
    if was_resumed and hash_file(job.part) == job.sha256:
        return
    _fetch(job, file, progress, attempts, first_pause_s)
    found = hash_file(job.part)
    if was_resumed and found != job.sha256:
        progress.say("partial download does not match; restarting")
        file.truncate(0)
        _fetch(job, file, progress, attempts, first_pause_s)
        found = hash_file(job.part)
    if found != job.sha256:
        _remove_part(job)
        raise HashMismatchError(
            f"{job.shown_url} has sha256 {found}, expected {job.sha256}; correct the URL or the sha256 "
            "(the downloaded file was deleted)",
            found=found,
        )


def _size(file: BinaryIO) -> int:
    file.flush()
    return os.fstat(file.fileno()).st_size


def _fetch(job: _Job, file: BinaryIO, progress: DownloadProgress, attempts: int, first_pause_s: float) -> None:
    """Request until the file has ended; each new byte resets the count of attempts."""
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
                if failures >= attempts or (not size and is_offline(error)):
                    raise DownloadError(_explain_cut(job, error, size)) from error
                pause_s = first_pause_s * 2 ** (failures - 1)
                progress.say(f"connection lost ({error}); retrying in {pause_s:g} s")
                time.sleep(pause_s)
            except (httpx.InvalidURL, httpx.RequestError) as error:
                raise DownloadError(f"{job.shown_url} cannot be downloaded: {error}; correct the URL") from error


def _explain_cut(job: _Job, error: Exception, size: int) -> str:
    reason = str(error) or type(error).__name__
    if not size:
        return f"{job.shown_url} cannot be downloaded: {reason}; check the URL and the network, then run again"
    return f"{job.shown_url}: download was cut: {reason}; {format_bytes(size)} are kept; run again to resume"


def _request_rest(client: httpx.Client, job: _Job, file: BinaryIO, progress: DownloadProgress) -> None:
    """Request the missing bytes and append them; return when the server has sent the last one."""
    have = _size(file)
    # In a compressed response, ranges would count compressed bytes.
    headers = {"Accept-Encoding": "identity"}
    if have and job.can_resume:
        headers["Range"] = f"bytes={have}-"
        if job.validator.is_file():
            headers["If-Range"] = job.validator.read_text(encoding="utf-8")
    with client.stream("GET", job.url, headers=headers) as response:
        start, total = _read_range(response)
        if response.status_code == _HTTP_RANGE_NOT_SATISFIABLE and have:
            file.truncate(0)
            raise _CutError("the file on the server is no longer than the partial download, so it has changed")
        _check_status(response, job)
        if start != have:
            file.truncate(0)
        if start not in (0, have):
            raise _CutError("the server sent a range that was not requested")
        _keep_validator(response, job)
        progress.begin(_size(file), total)
        # Raw bytes: whatever httpx buffers into larger chunks is lost when the connection is cut.
        for chunk in response.iter_raw():
            file.write(chunk)
            progress.advance(len(chunk))
    received = _size(file)
    os.fsync(file.fileno())
    if total is not None and received < total:
        raise _CutError(f"received {format_bytes(received)} of {format_bytes(total)}")


def _read_range(response: httpx.Response) -> tuple[int | None, int | None]:
    """Return the response's first byte and the size of the file, None where it does not state them."""
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
    answer = f"the server answered {status} {response.reason_phrase}".rstrip()
    if is_temporary(status):
        raise _CutError(answer)
    if status not in (_HTTP_OK, _HTTP_PARTIAL):
        raise DownloadError(f"{job.shown_url} cannot be downloaded: {answer}; correct the URL")


def _keep_validator(response: httpx.Response, job: _Job) -> None:
    """Keep a validator for If-Range: a strong ETag, or the date (RFC 9110, section 13.1.5)."""
    etag = response.headers.get("ETag", "")
    validator = etag if etag.startswith('"') else response.headers.get("Last-Modified", "")
    if validator:
        job.validator.write_text(validator, encoding="utf-8")
    else:
        job.validator.unlink(missing_ok=True)
