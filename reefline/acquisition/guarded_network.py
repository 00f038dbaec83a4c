"""The connections of the guarded client: to allowed addresses only, and within the time limit of the thread."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Any

import httpcore

from reefline.acquisition.guarded_client import AddressGuard
from reefline.acquisition.time_limit import explain_timeouts, find_timeout_s


class GuardedBackend(httpcore.NetworkBackend):
    """Resolves a host, checks its addresses and connects to one of them: no second look-up can name another.

    TLS still checks the certificate against the host's name, which httpcore passes on by itself.
    """

    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first allowed address of a host that answers.

        Raises:
            BlockedAddressError: it has no allowed address.
            TimeLimitError: the time limit has passed.
            httpcore.ConnectError: it cannot be resolved, or refuses.
            httpcore.ConnectTimeout: it does not answer.
        """
        try:
            addresses = self._guard.find_allowed(host, port)
        except OSError as error:
            raise httpcore.ConnectError(f"{host} cannot be resolved ({error.strerror})") from error

        def connect(address: object) -> httpcore.NetworkStream:
            with explain_timeouts():
                left_s = find_timeout_s(timeout)
                return LimitedStream(self._plain.connect_tcp(str(address), port, left_s, local_address, socket_options))

        for address in addresses[:-1]:
            try:
                return connect(address)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return connect(addresses[-1])


class LimitedStream(httpcore.NetworkStream):
    """A connection that fails once the time limit has passed; a timeout of its own starts again with every byte."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Receive bytes.

        Raises:
            TimeLimitError: the time limit has passed.
        """
        with explain_timeouts():
            return self._stream.read(max_bytes, find_timeout_s(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send bytes.

        Raises:
            TimeLimitError: the time limit has passed.
        """
        with explain_timeouts():
            self._stream.write(buffer, find_timeout_s(timeout))

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Encrypt the connection.

        Raises:
            TimeLimitError: the time limit has passed.
        """
        with explain_timeouts():
            return LimitedStream(self._stream.start_tls(ssl_context, server_hostname, find_timeout_s(timeout)))

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore asks about the connection."""
        return self._stream.get_extra_info(info)
