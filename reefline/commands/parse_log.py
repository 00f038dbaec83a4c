"""`reefline parse-log`."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reefline.commands.options import JsonOption
from reefline.errors import UsageError
from reefline.system.terminal import say, say_json

if TYPE_CHECKING:
    from reefline.edgetpu.compiler.log import CompilerLog

_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Far above any log, and a bound for what never ends, such as a device.
_MAX_BYTES = 32_000_000


def parse_log(
    log: Annotated[
        Path, typer.Argument(metavar="LOG", help="the output of edgetpu_compiler, or the .log file it wrote")
    ],
    as_json: JsonOption = False,
) -> None:
    """Explain the output of edgetpu_compiler. Shows whether it compiled, which operators map, and why it failed."""
    from reefline.edgetpu.compiler import log_parser

    parsed = log_parser.parse_log(_read_text(log))
    if as_json:
        say_json(parsed.to_json(), indent=None)
        return
    for line in _describe(parsed):
        say(line)


def _read_text(path: Path) -> str:
    """Read text of any encoding: invalid UTF-8 becomes U+FFFD; the `>` of PowerShell writes UTF-16.

    Raises:
        UsageError: the file cannot be read, or is too large for a log.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot read it ({error.strerror}); name the compiler's output or .log") from error
    if len(content) > _MAX_BYTES:
        raise UsageError(f"{path}: more than {_MAX_BYTES} bytes; name the compiler's output or .log")
    encoding = "utf-16" if content.startswith(_UTF_16_MARKS) else "utf-8"
    return content.decode(encoding, errors="replace")


def _describe(log: CompilerLog) -> Iterator[str]:
    """Yield the lines of a log's outcome, its counts, its memory and its table of operators."""
    from reefline.edgetpu.compiler.failure import describe_failure

    yield f"outcome: {log.outcome.value} (compiler {log.compiler_version or 'of unknown version'})"
    if log.failure is not None:
        yield f"failure: {log.failure.value}: {describe_failure(log)}"
    counts = (
        ("operators", log.ops_total),
        ("on the Edge TPU", log.ops_on_tpu),
        ("on the CPU", log.ops_on_cpu),
        ("Edge TPU subgraphs", log.subgraphs),
    )
    yield from (f"{name}: {count}" for name, count in counts if count is not None)
    sizes = (
        ("on-chip memory used for parameters", log.on_chip_used_bytes),
        ("on-chip memory free for parameters", log.on_chip_free_bytes),
        ("parameters streamed from off-chip memory", log.off_chip_bytes),
    )
    yield from (f"{name}: {size} bytes" for name, size in sizes if size is not None)
    yield from (f"{row.count:6d}  {row.op:<28} {row.status}" for row in log.operators)
