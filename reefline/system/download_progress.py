"""What a download shows: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TextIO

from reefline.system.terminal import ProgressBar, format_bytes

PLAIN_LINE_EVERY_S = 5.0


class DownloadProgress(ProgressBar):
    """Bytes, total and speed of one file; use it as a context manager."""

    def __init__(self, name: str, stream: TextIO | None = None) -> None:
        """Show the file `name` on `stream`, by default standard output."""
        super().__init__(stream, plain_line_every_s=PLAIN_LINE_EVERY_S)
        self._name = name
        self._total_bytes: int | None = None
        self._bytes = self._first_bytes = 0
        self._started_s = time.monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)
        if kind is None:
            self.say(f"done, {format_bytes(self._bytes)}")

    def begin(self, start_bytes: int, total_bytes: int | None) -> None:
        """Report a response that starts at `start_bytes`; `total_bytes` is None if it does not state its size."""
        self._bytes = self._first_bytes = start_bytes
        self._total_bytes = total_bytes
        self._started_s = time.monotonic()
        verb = f"resuming at {format_bytes(start_bytes)} of" if start_bytes else "downloading"
        self.say(f"{verb} {'an unknown size' if total_bytes is None else format_bytes(total_bytes)}")

    def advance(self, count: int) -> None:
        """Report `count` more bytes."""
        self._bytes += count
        elapsed_s = time.monotonic() - self._started_s
        speed = f", {format_bytes((self._bytes - self._first_bytes) / elapsed_s)}/s" if elapsed_s > 0 else ""
        total = f" of {format_bytes(self._total_bytes)}" if self._total_bytes is not None else ""
        self.show(self._bytes, self._total_bytes, f"{self._name}: {format_bytes(self._bytes)}{total}{speed}")

    def say(self, text: str) -> None:
        """Print one line about this file."""
        self.note(f"{self._name}: {text}")
