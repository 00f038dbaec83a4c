"""One request for one image: what came, or why nothing did. Nothing is written here, and nobody is waited for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

from reefline.acquisition.guarded_client import AddressGuard, BlockedAddressError, check_literal_address
from reefline.acquisition.raw_body import EncodedBodyError, read_raw_body
from reefline.acquisition.robots import RobotsRules, RobotsUnavailableError
from reefline.acquisition.time_limit import TimeLimitError, limit_time
from reefline.system.http_retry import is_temporary, read_retry_after_s
from reefline.system.terminal import format_bytes

if TYPE_CHECKING:
    import httpx

_HTTP_OK = 200
_MAX_PORT = 65_535


@dataclass(frozen=True)
class Fetched:
    """The body of the answer."""

    content: bytes


@dataclass(frozen=True)
class Redirected:
    """Another address, not yet requested."""

    url: str


@dataclass(frozen=True)
class Busy:
    """A failure that may pass soon; the server asks to wait for `retry_after_s`, None if it names no time."""

    reason: str
    retry_after_s: float | None = None


@dataclass(frozen=True)
class Failed:
    """A failure; a permanent one is about the address, so no later run tries it again."""

    reason: str
    is_permanent: bool = True


Outcome = Union[Fetched, Redirected, Busy, Failed]


@dataclass(frozen=True)
class FetchLimits:
    """How much may be downloaded of one image, and how long one request may take, robots.txt included."""

    max_bytes: int = 50_000_000
    max_seconds: float = 120.0


class Fetcher:
    """Requests images; safe to use from several threads. Without `robots`, no robots.txt is read."""

    def __init__(
        self,
        client: httpx.Client,
        guard: AddressGuard,
        robots: RobotsRules | None,
        limits: FetchLimits = FetchLimits(),
    ) -> None:
        self._client = client
        self._guard = guard
        self._robots = robots
        self._limits = limits

    def find_delay_s(self, host: str) -> float:
        """Return the pause between requests that a host's robots.txt asks for."""
        return self._robots.find_delay_s(host) if self._robots is not None else 0.0

    def fetch(self, url: str) -> Outcome:
        """Request a URL once, following no redirect."""
        import httpx

        try:
            parsed = httpx.URL(url)
            if parsed.scheme not in ("http", "https") or not parsed.host:
                return Failed(f"{parsed.scheme or 'no'} URL, where http or https is expected")
            if parsed.port is not None and not 0 < parsed.port <= _MAX_PORT:
                return Failed(f"not a valid URL (port {parsed.port})")
            check_literal_address(parsed, self._guard)
            with limit_time(self._limits.max_seconds):
                return self._request(parsed)
        except BlockedAddressError as error:
            return Failed(str(error))
        except (EncodedBodyError, TimeLimitError) as error:
            return Failed(str(error), is_permanent=False)
        except RobotsUnavailableError as error:
            return Busy(str(error))
        except httpx.TransportError as error:
            return Busy(str(error) or type(error).__name__)
        except httpx.HTTPError as error:
            return Failed(str(error) or type(error).__name__, is_permanent=False)
        except (httpx.InvalidURL, UnicodeError) as error:
            return Failed(f"not a valid URL ({error})")

    def _request(self, url: httpx.URL) -> Outcome:
        if self._robots is not None and not self._robots.allows(url):
            return Failed("robots.txt of the host does not allow it")
        headers = {"Accept": "image/*,*/*;q=0.1", "Accept-Encoding": "identity"}
        with self._client.stream("GET", url, headers=headers) as response:
            return self._read(response)

    def _read(self, response: httpx.Response) -> Outcome:
        if response.has_redirect_location:
            return Redirected(str(response.url.join(response.headers["Location"])))
        status = response.status_code
        if status != _HTTP_OK:
            answer = f"the server answered {status} {response.reason_phrase}".rstrip()
            return Busy(answer, read_retry_after_s(response)) if is_temporary(status) else Failed(answer)
        too_large = Failed(f"larger than {format_bytes(self._limits.max_bytes)}")
        length = response.headers.get("Content-Length", "")
        if length.isascii() and length.isdigit() and int(length[:18]) > self._limits.max_bytes:
            return too_large
        content = read_raw_body(response, self._limits.max_bytes + 1)
        return Fetched(content) if len(content) <= self._limits.max_bytes else too_large
