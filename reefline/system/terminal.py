"""What a run shows: one line per component and its verdict on standard output, all else in a log file."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def send_noise_to(log_file: Path) -> Iterator[None]:
    """Send standard error and all logging to a file; standard output stays what it is.

    TensorFlow's C++ code and Beam's workers write to file descriptor 2 itself, so it is the descriptor that moves.
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
        with contextlib.suppress(OSError):  # a full disk: what could not be logged is no reason to fail
            log.close()


def escape_control(text: str) -> str:
    """Return text from data or configs so that it cannot move the cursor or start a line of its own."""
    return "".join(c if c.isprintable() or c == " " else repr(c)[1:-1] for c in text)
