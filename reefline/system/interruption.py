"""Ctrl-C and SIGTERM, put off until work is safe."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Inside of it the first Ctrl-C or SIGTERM only sets `requested`; a second one acts at once.

    Leaving it hands the signal to whoever listened before, by default as a KeyboardInterrupt. A signal that is ignored
    stays so, as a shell wants it for what it runs in the background. Only the main thread may listen to signals: in any
    other one this does nothing.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._received: int | None = None

    @property
    def requested(self) -> bool:
        """Whether somebody asked to stop."""
        return self._received is not None

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._receive) for number in heard}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop_listening()
        if self._received is not None and error is None:
            signal.raise_signal(self._received)

    def _receive(self, number: int, _: FrameType | None) -> None:
        if self.requested:
            self._stop_listening()
            signal.raise_signal(number)
        self._received = number

    def _stop_listening(self) -> None:
        before, self._before = self._before, {}
        for number, handler in before.items():
            signal.signal(number, handler)
