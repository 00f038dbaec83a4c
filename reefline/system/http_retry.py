"""Which failures of a request are temporary, and how long a server asks to wait."""

from __future__ import annotations

import datetime
import email.utils
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

# Request timeout, too many requests: like all 5xx, they are about the state of the server, not about the file.
_TEMPORARY_STATUSES = frozenset({408, 429})
_FIRST_SERVER_ERROR = 500
# More digits than any time that makes sense.
_MAX_DIGITS = 9


def is_temporary(status: int) -> bool:
    """Return whether the same request may succeed later."""
    return status in _TEMPORARY_STATUSES or status >= _FIRST_SERVER_ERROR


def is_offline(error: BaseException | None) -> bool:
    """Return whether the name of the host could not be resolved: without network, waiting seconds does not help."""
    while error is not None and not isinstance(error, socket.gaierror):
        error = error.__cause__ or error.__context__
    return error is not None


def read_retry_after_s(response: httpx.Response) -> float | None:
    """Return how many seconds a server asks to wait, as a number or a date (RFC 9110, section 10.2.3)."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:_MAX_DIGITS])
    try:
        until = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=datetime.timezone.utc)
    return max(0.0, (until - datetime.datetime.now(datetime.timezone.utc)).total_seconds())
