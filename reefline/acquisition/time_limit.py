"""A time limit for everything that one thread receives from the network, however slowly it arrives."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass

_LIMIT: ContextVar[_Limit | None] = ContextVar("_LIMIT", default=None)


class TimeLimitError(Exception):
    """A request that took longer than its time limit."""


@dataclass(frozen=True)
class _Limit:
    seconds: float
    end_s: float


@contextlib.contextmanager
def limit_time(seconds: float) -> Iterator[None]:
    """Limit the time of all requests that this thread makes in this context, redirects and robots.txt included.

    Raises:
        TimeLimitError: it has passed, and a connection of `guarded_network` was to be used.
    """
    token = _LIMIT.set(_Limit(seconds, time.monotonic() + seconds))
    try:
        yield
    finally:
        _LIMIT.reset(token)


def find_timeout_s(timeout_s: float | None) -> float | None:
    """Return the timeout for one operation on a connection: `timeout_s`, or what is left of the limit.

    Raises:
        TimeLimitError: nothing is left.
    """
    limit = _LIMIT.get()
    if limit is None:
        return timeout_s
    left_s = limit.end_s - time.monotonic()
    if left_s <= 0:
        raise TimeLimitError(f"took longer than {limit.seconds:g} s")
    return left_s if timeout_s is None else min(timeout_s, left_s)


@contextlib.contextmanager
def explain_timeouts() -> Iterator[None]:
    """Turn a timeout that the limit shortened into an error about the limit.

    Raises:
        TimeLimitError: the limit has passed.
    """
    try:
        yield
    except Exception:
        find_timeout_s(None)
        raise
