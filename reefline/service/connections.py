"""How long, and how many, connections may stay open without a request."""

from __future__ import annotations

import asyncio
from typing import Any

# More are closed, the oldest first.
MAX_IDLE_CONNECTIONS = 256


def make_protocol(idle_timeout_s: float) -> type[asyncio.Protocol]:
    """Return uvicorn's HTTP protocol with limits for idle connections.

    A connection is idle before the header of a request is complete, and after its answer. uvicorn limits only the
    time after an answer, and starts it again with every byte.
    """
    from uvicorn.protocols.http.h11_impl import H11Protocol

    # In the order in which they became idle.
    idle: dict[Protocol, asyncio.TimerHandle] = {}

    class Protocol(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._update_idle()

        def connection_lost(self, exc: Exception | None) -> None:
            self._leave_idle()
            super().connection_lost(exc)

        def handle_events(self) -> None:
            super().handle_events()
            self._update_idle()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._update_idle()

        def _update_idle(self) -> None:
            if self.cycle is not None and not self.cycle.response_complete:
                self._leave_idle()
            elif self not in idle and not self.transport.is_closing():
                if len(idle) >= MAX_IDLE_CONNECTIONS:
                    oldest = next(iter(idle))
                    oldest._leave_idle()
                    oldest.transport.abort()
                idle[self] = self.loop.call_later(idle_timeout_s, self.transport.abort)

        def _leave_idle(self) -> None:
            if self in idle:
                idle.pop(self).cancel()

    return Protocol
