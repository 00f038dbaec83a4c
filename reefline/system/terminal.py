"""Everything that is printed: lines, errors, JSON, progress bars. No text from data or configs moves the cursor.

Nothing else in Reefline writes to standard output or standard error.
"""

from __future__ import annotations

import contextlib
import enum
import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from typing_extensions import Self


class Colour(enum.Enum):
    """The ANSI colours that a terminal shows words in."""

    GREEN = "32"
    YELLOW = "33"
    RED = "31"


def say(line: str, colours: Mapping[str, Colour] | None = None) -> None:
    """Print one line to standard output.

    If the line's last word is in `colours`, a terminal shows it in that colour, unless NO_COLOR is set
    (https://no-color.org) or the terminal is a dumb one.
    """
    text = escape_control(line)
    before, space, word = text.rpartition(" ")
    colour = (colours or {}).get(word)
    if colour is not None and _shows_colours(sys.stdout):
        text = f"{before}{space}\x1b[{colour.value}m{word}\x1b[0m"
    _write(sys.stdout, text)


def _shows_colours(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def say_error(problem: str) -> None:
    """Print one problem to standard error."""
    _write(sys.stderr, escape_control(f"error: {problem}"))


def say_json(record: Any, *, indent: int | None = 2) -> None:
    """Print a record as JSON to standard output; `indent` None prints it on one line."""
    text = json.dumps(record, indent=indent, ensure_ascii=False)
    # json.dumps escapes up to U+001F only. What else is unprintable is inside a string, where \uXXXX means the same.
    _write(sys.stdout, "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text))


def _write(stream: TextIO, line: str) -> None:
    stream.write(f"{line}\n")
    stream.flush()


def escape_control(text: str) -> str:
    """Return text with control characters escaped: it can neither move the cursor nor start a new line.

    Bytes of a name that are not UTF-8 are shown as such: Python keeps them as U+DC80 to U+DCFF (PEP 383).
    """
    return "".join(c if c.isprintable() or c == " " else _escape(c) for c in text)


def _escape(character: str) -> str:
    byte = ord(character) - 0xDC00
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else repr(character)[1:-1]


def format_bytes(count: float) -> str:
    """Return a number of bytes with a decimal unit, such as 12.3 MB."""
    if count < 1000:
        return f"{count:.0f} bytes"
    for unit in ("kB", "MB"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} GB"


def format_duration(seconds: float) -> str:
    """Return a time as hours:minutes:seconds, such as 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


class ProgressBar:
    """A progress bar with a text on a terminal, plain lines elsewhere; use it as a context manager."""

    def __init__(
        self, stream: TextIO | None = None, *, plain_line_every_s: float, waiting: str = "", quiet: bool = False
    ) -> None:
        """Show progress on `stream`, by default standard output; `quiet` shows nothing.

        `waiting` is the bar's text until the first `show`.
        """
        self._stream = stream if stream is not None else sys.stdout
        self._plain_line_every_s = plain_line_every_s
        self._waiting = waiting
        self._quiet = quiet
        self._last_line_s = float("-inf")
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if self._stream.isatty() and not self._quiet:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            self._bar = Progress(
                TextColumn(" "),
                BarColumn(),
                TextColumn("{task.fields[text]}", markup=False),
                console=Console(file=self._stream),
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=None, text=self._waiting)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, completed: float, total: float | None, text: str, *, now: bool = False) -> None:
        """Show that `completed` of `total` is done, None where the total is unknown; `text` describes it.

        Where there is no bar, `text` becomes a line if the last line is old enough, or `now`.
        """
        if self._bar is not None:
            self._bar.update(self._task, completed=completed, total=total, text=escape_control(text))
        elif now or time.monotonic() - self._last_line_s >= self._plain_line_every_s:
            self.note(text)

    def note(self, text: str) -> None:
        """Print a line, above the bar where there is one."""
        if self._quiet:
            return
        self._last_line_s = time.monotonic()
        line = escape_control(f"  {text}")
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False, emoji=False, soft_wrap=True)
        else:
            _write(self._stream, line)


@contextlib.contextmanager
def send_noise_to(log_file: Path) -> Iterator[None]:
    """Send standard error and all logging to a file; standard output is not affected.

    TensorFlow's C++ code and Beam's workers write to file descriptor 2 directly, so the descriptor is redirected.
    """
    log = log_file.open("a", encoding="utf-8")
    handler = logging.StreamHandler(log)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname).1s %(name)s: %(message)s"))
    root = logging.getLogger()
    level, others = root.level, list(root.handlers)
    sys.stderr.flush()
    saved_fd = os.dup(2)
    os.dup2(log.fileno(), 2)
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        sys.stderr.flush()
        root.handlers = others
        root.setLevel(level)
        os.dup2(saved_fd, 2)
        os.close(saved_fd)
        with contextlib.suppress(OSError):  # a full disk: losing the end of a log is no reason to fail
            log.close()
