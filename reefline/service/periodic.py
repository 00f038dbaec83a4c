"""A thread that does something every few seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Periodic:
    """Calls `look` every `interval_s` seconds, which must not raise; use it as a context manager."""

    def __init__(self, name: str, interval_s: float, look: Callable[[], None]) -> None:
        """Prepare; nothing runs before the block starts."""
        self._interval_s, self._look = interval_s, look
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            self._look()
