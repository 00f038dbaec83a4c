"""Ctrl-C and SIGTERM, delayed until work is saved."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """A context in which the first Ctrl-C or SIGTERM only sets `requested`; a second one acts at once.

    On exit the signal goes to the previous handler, by default as a KeyboardInterrupt. An ignored signal stays ignored:
    shells start background jobs that way. Only the main thread can handle signals; in other threads this does nothing.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._received: int | None = None

    @property
    def requested(self) -> bool:
        """Whether a signal arrived."""
        return self._received is not None

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            handled = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._receive) for number in handled}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._restore_handlers()
        if self._received is not None and error is None:
            signal.raise_signal(self._received)

    def _receive(self, number: int, _: FrameType | None) -> None:
        if self.requested:
            self._restore_handlers()
            signal.raise_signal(number)
        self._received = number

    def _restore_handlers(self) -> None:
        before, self._before = self._before, {}
        for number, handler in before.items():
            signal.signal(number, handler)
