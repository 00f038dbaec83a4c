"""What every fuzzer shares: how many cases, which mutations, and the limits of an answer.

The cases follow from the code alone, so a failure comes back with the next run. One that is found becomes an
`@example` of its test.
"""

from __future__ import annotations

import contextlib
import os
import signal
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import hypothesis
from hypothesis import HealthCheck
from hypothesis import strategies as st

# `make test` runs a few cases of each, `make test-fuzz` 2,000.
CASES = int(os.environ.get("REEFLINE_FUZZ_CASES", "40"))
MAX_CPU_S = 5
MAX_BYTES = 1 << 30
_INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)

fuzzed = hypothesis.settings(
    max_examples=CASES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class TooSlowError(BaseException):
    """An answer that took too long; nothing catches it."""


@contextlib.contextmanager
def within_limits() -> Iterator[None]:
    """Fail if what happens inside takes more than MAX_CPU_S of this process or MAX_BYTES of additional memory."""
    before_bytes = _read_memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before = signal.signal(signal.SIGPROF, _fail_slow)
    signal.setitimer(signal.ITIMER_PROF, MAX_CPU_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    peak_bytes = _read_memory("VmHWM")
    assert peak_bytes - before_bytes < MAX_BYTES, f"{peak_bytes - before_bytes} bytes"


def _fail_slow(*_: object) -> None:
    raise TooSlowError(f"more than {MAX_CPU_S} s")


def _read_memory(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


@st.composite
def mutated(draw: Any, seeds: Sequence[bytes], tokens: Sequence[bytes] = (b"",)) -> bytes:
    """Return one of the seeds with up to six changes, as a bad disk, a bad tool or an attacker makes them."""
    content = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(content)))
        length = draw(st.integers(1, 64))
        change = draw(st.sampled_from(_CHANGES))
        if change == "overwrite":
            content[start : start + 1] = bytes([draw(st.integers(0, 255))])
        elif change == "number":
            form = draw(st.sampled_from(("<I", ">I", "<H", ">H", "B")))
            value = draw(st.sampled_from(_INTERESTING)) & ((1 << 8 * struct.calcsize(form)) - 1)
            content[start : start + struct.calcsize(form)] = struct.pack(form, value)
        elif change == "delete":
            del content[start : start + length]
        elif change == "repeat":
            content[start:start] = content[start : start + length] * draw(st.integers(1, 50))
        elif change == "token":
            content[start:start] = draw(st.sampled_from(tokens))
        elif change == "zeros":
            content[start : start + length] = bytes(len(content[start : start + length]))
        elif change == "cut":
            del content[start:]
        else:
            other = draw(st.sampled_from(seeds))
            content[start:] = other[min(start, len(other)) :]
    return bytes(content)


_CHANGES = (
    "overwrite",
    "overwrite",
    "number",
    "number",
    "delete",
    "repeat",
    "token",
    "token",
    "zeros",
    "cut",
    "splice",
)
