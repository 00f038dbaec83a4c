"""Reading what edgetpu_compiler printed: its stdout, or the .log file it wrote, of versions 1.0 to 16.0.

Coral documents neither format; the texts are those of real logs from public issues and repositories. Any text can be
read: if nothing is recognized, the outcome is `failed` and the failure `unknown`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reefline.edgetpu.compiler.log import MAPPED_STATUS, CompilerLog, FailureKind, LogOutcome, OperatorRow

# Surrounds lines that were pasted into an issue: quotes, emphasis, code.
_MARKUP = " \t>*`_"
# At most 15 digits: longer numbers count nothing, and Python refuses to parse thousands of digits.
_COUNT = r"([0-9]{1,15})(?![0-9])"
_SIZE = r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?(B|KiB|MiB|GiB)\b"
_BYTES_OF_UNIT = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}

_VERSION = re.compile(r"Edge TPU Compiler version ([0-9][0-9.]*)")
_SEARCH = re.compile(r"Searching for valid delegate")
_ATTEMPT_STARTS = re.compile(
    r"Searching for valid delegate|Try to compile segment|Started a compilation timeout timer"
    r"|Model compiled successfully in"
)
# The number of subgraphs is printed only after a success, so a text without its head can still be read.
_SUCCESS = re.compile(
    r"Model compiled successfully|Model successfully compiled|Compilation succeeded|Number of Edge TPU subgraphs"
)
_REFUSED = re.compile(r"Compilation failed")
_PARTIAL = re.compile(r"not all operations are supported by the Edge TPU")
_LOG_FILE_OUTPUT = re.compile(r"^Output: ")
_TABLE_HEADER = re.compile(r"^Operator\s+Count\s+Status$")
_ROW = re.compile(rf"^([A-Za-z][\w:.-]*)\s+{_COUNT}\s+(\S.*)$")
_TOTAL = re.compile(rf"^Total number of operations: {_COUNT}")
_ON_TPU = re.compile(rf"^Number of operations that will run on Edge TPU: {_COUNT}")
_ON_CPU = re.compile(rf"^Number of operations that will run on CPU: {_COUNT}")
_SUBGRAPHS = re.compile(rf"^Number of Edge TPU subgraphs: {_COUNT}")
_ON_CHIP_USED = re.compile(rf"^On-chip memory used for caching model parameters: {_SIZE}")
_ON_CHIP_FREE = re.compile(rf"^On-chip memory remaining for caching model parameters: {_SIZE}")
_OFF_CHIP = re.compile(rf"^Off-chip memory used for streaming uncached model parameters: {_SIZE}")
_CRASH = re.compile(
    r"terminating (?:with|due to) uncaught|terminate called|Segmentation fault|core dumped|\bAborted\b|\bKilled\b"
    r"|Bus error|Illegal instruction|std::bad_alloc"
)
# In this order: a flex op is also reported as a custom op, and a timeout names large activations as its usual cause.
_FAILURES: tuple[tuple[FailureKind, re.Pattern[str]], ...] = (
    (FailureKind.FLEX_OPS, re.compile(r"Regular TensorFlow ops are not supported|Flex delegate|custom op: Flex")),
    (FailureKind.CUSTOM_OP, re.compile(r"unresolved custom op")),
    (FailureKind.OP_VERSION, re.compile(r"Didn't find op for builtin opcode|builtin_code out of range")),
    (FailureKind.DYNAMIC_SHAPE, re.compile(r"dynamic-sized tensors")),
    (FailureKind.NOT_QUANTIZED, re.compile(r"Model not quantized")),
    (FailureKind.TIMEOUT, re.compile(r"Compilation timeout\b|[Cc]ompilation (?:process )?(?:has )?timed out")),
    (FailureKind.LARGE_ACTIVATIONS, re.compile(r"large activation tensors")),
    (FailureKind.INTERNAL_ERROR, re.compile(r"Internal compiler error")),
    (FailureKind.CRASH, _CRASH),
)


def parse_log(text: str) -> CompilerLog:
    """Read a compiler's stdout or .log file; of several runs in one text, the last one counts."""
    version, lines = _last_run([line.strip(_MARKUP) for line in text.splitlines()])
    segments = _split_segments(lines)
    failed = next((attempt for attempt in segments if not attempt.is_success), None)
    if failed is None:
        return _sum_segments(version, segments)
    kind, detail = _find_failure(failed.lines)
    if kind is FailureKind.UNKNOWN and version is not None and not any(lines):
        # A compiler that prints nothing but its version was killed.
        kind = FailureKind.CRASH
    return CompilerLog(LogOutcome.FAILED, kind, version, detail=detail)


@dataclass(frozen=True)
class _Attempt:
    """The lines of one attempt at one segment of the model."""

    lines: tuple[str, ...]

    @property
    def is_success(self) -> bool:
        return not self._matches(_REFUSED) and not self._matches(_CRASH) and (self._succeeds or self.is_log_file)

    @property
    def _succeeds(self) -> bool:
        return self._matches(_SUCCESS)

    @property
    def is_log_file(self) -> bool:
        """Whether this is a .log file, which is written after a success and has the complete table."""
        return self._matches(_LOG_FILE_OUTPUT) and bool(self.read_rows())

    @property
    def is_partial(self) -> bool:
        return self._matches(_PARTIAL)

    def _matches(self, pattern: re.Pattern[str]) -> bool:
        return any(pattern.search(line) for line in self.lines)

    def read_count(self, pattern: re.Pattern[str]) -> int | None:
        found = next(filter(None, map(pattern.search, self.lines)), None)
        return int(found.group(1)) if found else None

    def read_bytes(self, pattern: re.Pattern[str]) -> int | None:
        found = next(filter(None, map(pattern.search, self.lines)), None)
        return round(float(found.group(1)) * _BYTES_OF_UNIT[found.group(2)]) if found else None

    def read_rows(self) -> tuple[OperatorRow, ...]:
        header = next((place for place, line in enumerate(self.lines) if _TABLE_HEADER.match(line)), len(self.lines))
        found = filter(None, map(_ROW.match, self.lines[header + 1 :]))
        return tuple(OperatorRow(row.group(1), int(row.group(2)), row.group(3)) for row in found)


def _last_run(lines: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """Return the version of the last run and the lines after it; all lines where no version is found."""
    for place in range(len(lines) - 1, -1, -1):
        found = _VERSION.search(lines[place])
        if found:
            return found.group(1).rstrip("."), lines[place + 1 :]
    return None, lines


def _split_segments(lines: Iterable[str]) -> tuple[_Attempt, ...]:
    """Return the last decided attempt of each segment.

    A search (-d) retries a segment with fewer operators until one attempt succeeds; without a search, every attempt
    is another segment (-n).
    """
    segments: list[_Attempt] = []
    current: list[str] = []
    is_search, is_retry, is_decided = False, False, False

    def close() -> None:
        attempt = _Attempt(tuple(current))
        if not is_retry:
            segments.append(attempt)
        elif is_decided:
            segments[-1] = attempt

    for line in lines:
        if is_decided and _ATTEMPT_STARTS.search(line):
            close()
            is_retry = is_search and not segments[-1].is_success and not _SEARCH.search(line)
            current, is_decided = [], False
        is_search = is_search or bool(_SEARCH.search(line))
        is_decided = is_decided or bool(_SUCCESS.search(line) or _REFUSED.search(line))
        current.append(line)
    close()
    return tuple(segments)


def _find_failure(lines: Sequence[str]) -> tuple[FailureKind, str]:
    for kind, pattern in _FAILURES:
        for line in lines:
            if pattern.search(line):
                return kind, line.removeprefix("ERROR: ")
    return FailureKind.UNKNOWN, ""


def _sum_segments(version: str | None, segments: Sequence[_Attempt]) -> CompilerLog:
    counts = [_count_operators(attempt) for attempt in segments]
    subgraphs = _sum(attempt.read_count(_SUBGRAPHS) for attempt in segments)
    ops_on_tpu = _sum(on_tpu for _, on_tpu, _ in counts)
    is_nothing = subgraphs == 0 or ops_on_tpu == 0

    def sum_bytes(pattern: re.Pattern[str]) -> int | None:
        return _sum(attempt.read_bytes(pattern) for attempt in segments)

    return CompilerLog(
        outcome=LogOutcome.NOTHING_MAPPED if is_nothing else LogOutcome.COMPILED,
        failure=None,
        compiler_version=version,
        ops_total=_sum(total for total, _, _ in counts),
        ops_on_tpu=ops_on_tpu,
        ops_on_cpu=_sum(on_cpu for _, _, on_cpu in counts),
        subgraphs=subgraphs,
        on_chip_used_bytes=sum_bytes(_ON_CHIP_USED),
        on_chip_free_bytes=sum_bytes(_ON_CHIP_FREE),
        off_chip_bytes=sum_bytes(_OFF_CHIP),
        operators=_merge_rows(attempt.read_rows() for attempt in segments),
    )


def _count_operators(attempt: _Attempt) -> tuple[int | None, int | None, int | None]:
    """Return the number of operators: total, on the TPU and on the CPU.

    stdout gives all three only if some operators are not mapped; the .log file gives only the table.
    """
    total, on_tpu, on_cpu = (attempt.read_count(pattern) for pattern in (_TOTAL, _ON_TPU, _ON_CPU))
    if total is None and attempt.is_log_file:
        rows = attempt.read_rows()
        total = sum(row.count for row in rows)
        on_tpu = sum(row.count for row in rows if row.status == MAPPED_STATUS)
    if total is not None and on_tpu is None and on_cpu is None and not attempt.is_partial:
        on_tpu = 0 if attempt.read_count(_SUBGRAPHS) == 0 else total
    if total is not None and on_tpu is not None and on_cpu is None and total >= on_tpu:
        on_cpu = total - on_tpu
    if total is not None and on_cpu is not None and on_tpu is None and total >= on_cpu:
        on_tpu = total - on_cpu
    return total, on_tpu, on_cpu


def _merge_rows(tables: Iterable[tuple[OperatorRow, ...]]) -> tuple[OperatorRow, ...]:
    counts: dict[tuple[str, str], int] = {}
    for row in (row for table in tables for row in table):
        counts[row.op, row.status] = counts.get((row.op, row.status), 0) + row.count
    return tuple(OperatorRow(op, count, status) for (op, status), count in counts.items())


def _sum(numbers: Iterable[int | None]) -> int | None:
    """Return the sum, or None if a summand is unknown."""
    known = list(numbers)
    return None if None in known else sum(number for number in known if number is not None)
