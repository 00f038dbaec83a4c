"""`reefline parse-log` and `reefline compile`."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path

import pydantic
import typer

from reefline.edgetpu.compiled import COMPILED_SUFFIX
from reefline.edgetpu.compiler.log import CompilerLog
from reefline.edgetpu.compiler.log_parser import parse_log
from reefline.errors import UsageError
from reefline.settings import CompilerSettings

_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def run_parse_log(log_file: Path, *, as_json: bool) -> None:
    """Print what a compiler's log says; a log of a failure is read like any other.

    Raises:
        UsageError: the file cannot be read.
    """
    log = parse_log(_read_text(log_file))
    if as_json:
        typer.echo(json.dumps(log.to_json(), ensure_ascii=False))
        return
    for line in describe_log(log):
        typer.echo(line)


def make_compiler_settings(**options: str | float | None) -> CompilerSettings:
    """Return the settings that the options of `reefline compile` stand for.

    Raises:
        UsageError: an option that makes no sense; one problem each.
    """
    try:
        return CompilerSettings.model_validate(options)
    except pydantic.ValidationError as error:
        problems = (f"{'.'.join(map(str, p['loc']))}: {p['input']!r} found; {p['msg']}" for p in error.errors())
        raise UsageError(*problems) from error


def run_compile(model: Path, out_dir: Path | None, settings: CompilerSettings) -> None:
    """Compile a model to <its name>_edgetpu.tflite, in `out_dir` or beside it, and print what came of it.

    Raises:
        UsageError: it was not compiled, or the file or the folder cannot be used.
        BundleError: the file is not a TFLite model.
    """
    from reefline.edgetpu.compiler.adapter import compile_for_edge_tpu
    from reefline.edgetpu.compiler.outcome import Compiled
    from reefline.tflite.reader import count_operators

    if not model.is_file():
        raise UsageError(f"{model}: {'a folder' if model.is_dir() else 'no such file'}; name an int8 TFLite model")
    target = (out_dir or model.parent) / f"{model.stem}{COMPILED_SUFFIX}.tflite"
    ops_total = count_operators(model)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        outcome = compile_for_edge_tpu(model, target, ops_total=ops_total, settings=settings)
    except OSError as error:
        raise UsageError(f"{target}: cannot be written ({error}); name another folder with --out DIR") from error
    if not isinstance(outcome, Compiled):
        raise UsageError(f"{model}: not compiled: {outcome.reason}")
    typer.echo(f"{target}: {outcome.reason}")


def describe_log(log: CompilerLog) -> Iterator[str]:
    """Yield what a log says, a line each: the outcome, the counts and the memory that it names, and its table."""
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


def _read_text(path: Path) -> str:
    """Read a text of any encoding: what is no UTF-8 becomes U+FFFD; PowerShell's `>` writes UTF-16."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); name the compiler's output or .log") from error
    encoding = "utf-16" if content.startswith(_UTF_16_MARKS) else "utf-8"
    return content.decode(encoding, errors="replace")
