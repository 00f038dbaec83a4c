"""robots.txt: what a host allows, and how long it asks to pause (RFC 9309)."""

from __future__ import annotations

import threading
import urllib.robotparser
from typing import TYPE_CHECKING

from reefline.acquisition.raw_body import EncodedBodyError, read_raw_body
from reefline.system.http_retry import is_temporary

if TYPE_CHECKING:
    import httpx

_PATH = "/robots.txt"
# RFC 9309, section 2.5: at least 500 kibibytes are read.
_MAX_BYTES = 500 * 1024
# A longer pause is as good as a refusal, and some hosts ask for days.
MAX_CRAWL_DELAY_S = 30.0


class RobotsUnavailableError(Exception):
    """A host whose rules cannot be read now: nothing is requested from it."""


class RobotsRules:
    """The rules of every host, each read once; safe to use from several threads."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._agent = client.headers["User-Agent"]
        self._locks: dict[str, threading.Lock] = {}
        self._rules: dict[str, urllib.robotparser.RobotFileParser] = {}
        self._lock = threading.Lock()

    def allows(self, url: httpx.URL) -> bool:
        """Return whether a URL may be requested.

        Raises:
            RobotsUnavailableError: the host has an error; it may work later.
            TimeLimitError: reading them took too long.
            httpx.HTTPError: the host cannot be reached.
        """
        return self._read(url).can_fetch(self._agent, str(url))

    def find_delay_s(self, host: str) -> float:
        """Return the pause that a host asks for between requests, 0 if it asks for none or was not read yet."""
        rules = self._rules.get(host)
        delay = rules.crawl_delay(self._agent) if rules is not None else None
        return min(float(delay), MAX_CRAWL_DELAY_S) if delay else 0.0

    def _read(self, url: httpx.URL) -> urllib.robotparser.RobotFileParser:
        host = url.netloc.decode("ascii")
        with self._lock:
            host_lock = self._locks.setdefault(host, threading.Lock())
        with host_lock:
            if host not in self._rules:
                self._rules[host] = self._fetch(url.copy_with(raw_path=_PATH.encode()))
            return self._rules[host]

    def _fetch(self, url: httpx.URL) -> urllib.robotparser.RobotFileParser:
        rules = urllib.robotparser.RobotFileParser()
        headers = {"Accept-Encoding": "identity"}
        content = b""
        with self._client.stream("GET", url, headers=headers, follow_redirects=True) as response:
            if is_temporary(response.status_code):
                raise RobotsUnavailableError(f"robots.txt: the server answered {response.status_code}")
            if response.is_success:
                try:
                    content = read_raw_body(response, _MAX_BYTES)
                except EncodedBodyError as error:
                    raise RobotsUnavailableError(f"robots.txt: {error}") from error
        # Without a file, or with one that is refused (4xx), everything is allowed.
        rules.parse(content.decode("utf-8", "replace").splitlines())
        return rules
