"""What a download shows on the terminal: a bar where there is one, plain lines where there is none."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, TextIO

PLAIN_LINE_EVERY_S = 5.0


class DownloadProgress:
    """Bytes, total and speed of one file; use it as a context manager."""

    def __init__(self, name: str, stream: TextIO | None = None) -> None:
        """Show the file `name` on `stream`, standard output where none is given."""
        self._name = name
        self._stream = stream if stream is not None else sys.stdout
        self._bar: Any = None
        self._task: Any = None
        self._total_bytes: int | None = None
        self._bytes = self._first_bytes = 0
        self._started_s = self._last_line_s = time.monotonic()

    def __enter__(self) -> DownloadProgress:
        if self._stream.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

            self._bar = Progress(
                TextColumn("  {task.description}", markup=False),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                console=Console(file=self._stream),
            )
            self._bar.start()
            self._task = self._bar.add_task(self._name, total=None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if kind is None:
            self.say(f"whole, {format_bytes(self._bytes)}")

    def begin(self, start_bytes: int, total_bytes: int | None) -> None:
        """Report that an answer has come which begins at `start_bytes`; None where it does not say its total."""
        self._bytes = self._first_bytes = start_bytes
        self._total_bytes = total_bytes
        self._started_s = self._last_line_s = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, completed=start_bytes, total=total_bytes)
        verb = f"continues at {format_bytes(start_bytes)} of" if start_bytes else "downloads"
        self.say(f"{verb} {'an unknown size' if total_bytes is None else format_bytes(total_bytes)}")

    def advance(self, count: int) -> None:
        """Report that `count` more bytes are there."""
        self._bytes += count
        now_s = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, completed=self._bytes)
        elif now_s - self._last_line_s >= PLAIN_LINE_EVERY_S:
            self._last_line_s = now_s
            speed = (self._bytes - self._first_bytes) / (now_s - self._started_s)
            total = f" of {format_bytes(self._total_bytes)}" if self._total_bytes is not None else ""
            self.say(f"{format_bytes(self._bytes)}{total}, {format_bytes(speed)}/s")

    def say(self, text: str) -> None:
        """Print one line about this file."""
        line = f"  {self._name}: {text}"
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False)
        else:
            print(line, file=self._stream, flush=True)


def format_bytes(count: float) -> str:
    """Return a number of bytes in the unit that suits it, with decimal prefixes."""
    if count < 1000:
        return f"{count:.0f} bytes"
    for unit in ("kB", "MB"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} GB"
