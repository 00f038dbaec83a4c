"""Requests to search services: paced, repeated where a service asks to wait, limited in size."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reefline.acquisition.guarded_client import BlockedAddressError
from reefline.acquisition.query import SourceError
from reefline.acquisition.time_limit import TimeLimitError, limit_time
from reefline.system.http_retry import is_offline, is_temporary, read_retry_after_s

if TYPE_CHECKING:
    import httpx

# Openverse allows anonymous users one request per second.
_PAUSE_S = 1.0
_ATTEMPTS = 4
_MAX_WAIT_S = 60.0
_MAX_ANSWER_S = 60.0
_MAX_ANSWER_BYTES = 20_000_000


@dataclass(frozen=True)
class Answer:
    """The body of a successful answer, under the name that icrawler's parsers expect."""

    content: bytes


class ServiceClient:
    """Asks one service after another; `name` of the service goes into every message."""

    def __init__(
        self,
        client: httpx.Client,
        *,
        sleep: Callable[[float], None] = time.sleep,
        pause_s: float = _PAUSE_S,
        max_answer_s: float = _MAX_ANSWER_S,
    ) -> None:
        self._client = client
        self._sleep = sleep
        self._pause_s = pause_s
        self._max_answer_s = max_answer_s
        self._last_request_s = float("-inf")

    def get(
        self,
        name: str,
        url: str,
        parameters: Mapping[str, str] | None = None,
        find_delay: Callable[[bytes], str | None] = lambda _: None,
    ) -> Answer:
        """Request a page.

        `find_delay` reads why to ask again later from the body of an answer that is otherwise a success, None if it is.

        Raises:
            SourceError: the service cannot be reached, refuses, needs more than a minute for an answer, or asks to
                wait for more than a minute.
        """
        import httpx

        for attempt in range(_ATTEMPTS):
            self._sleep(max(0.0, self._last_request_s + self._pause_s - time.monotonic()))
            self._last_request_s = time.monotonic()
            wait_s = 2.0**attempt
            try:
                with limit_time(self._max_answer_s), self._stream(url, parameters) as response:
                    if response.is_success:
                        answer = Answer(_read_limited(response, name))
                        delay = find_delay(answer.content)
                        if delay is None:
                            return answer
                        problem = delay
                    else:
                        problem = f"the service answered {response.status_code} {response.reason_phrase}".rstrip()
                        if not is_temporary(response.status_code):
                            raise SourceError(f"{name}: {problem}")
                    wait_s = read_retry_after_s(response) or wait_s
            except BlockedAddressError as error:
                raise SourceError(f"{name}: {error}") from error
            except TimeLimitError as error:
                raise SourceError(f"{name}: the answer {error}; try again later") from error
            except httpx.HTTPError as error:
                problem = f"the service cannot be reached ({str(error) or type(error).__name__}); check the network"
                if is_offline(error):
                    raise SourceError(f"{name}: {problem}") from error
            if wait_s > _MAX_WAIT_S:
                raise SourceError(f"{name}: {problem} and asks to wait {wait_s:.0f} s; try again later")
            if attempt < _ATTEMPTS - 1:
                self._sleep(wait_s)
        raise SourceError(f"{name}: {problem}")

    def _stream(self, url: str, parameters: Mapping[str, str] | None) -> AbstractContextManager[httpx.Response]:
        return self._client.stream("GET", url, params=parameters or None, follow_redirects=True)

    def get_json(
        self,
        name: str,
        url: str,
        parameters: Mapping[str, str],
        find_delay: Callable[[bytes], str | None] = lambda _: None,
    ) -> Any:
        """Request a page and return its JSON; `find_delay` as in `get`.

        Raises:
            SourceError: as `get`, or the answer is not JSON.
        """
        answer = self.get(name, url, parameters, find_delay)
        try:
            return json.loads(answer.content)
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{name}: the answer is not JSON; its interface may have changed") from error


def _read_limited(response: httpx.Response, name: str) -> bytes:
    content = bytearray()
    for chunk in response.iter_bytes():
        content += chunk
        if len(content) > _MAX_ANSWER_BYTES:
            raise SourceError(f"{name}: the answer has more than {_MAX_ANSWER_BYTES} bytes")
    return bytes(content)
