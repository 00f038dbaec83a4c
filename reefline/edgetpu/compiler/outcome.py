"""What a compilation came to: compiled, rejected, or not compiled; each with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reefline.edgetpu.compiler.failure import describe_failure
from reefline.edgetpu.compiler.log import MAPPED_STATUS, CompilerLog, FailureKind, LogOutcome
from reefline.edgetpu.compiler.log_parser import parse_log
from reefline.tflite.graph import EDGE_TPU_CODE
from reefline.tflite.reader import FILE_IDENTIFIER

COMPILER = "edgetpu_compiler"
# A failed run may leave a stub of about 1 KB; the smallest compiled file known from Coral has 57 KiB.
MIN_COMPILED_BYTES = 4096
# Failures that are about the model. The others may be temporary, or this machine's.
_REJECTIONS = (
    FailureKind.NOT_QUANTIZED,
    FailureKind.DYNAMIC_SHAPE,
    FailureKind.OP_VERSION,
    FailureKind.CUSTOM_OP,
    FailureKind.FLEX_OPS,
    FailureKind.LARGE_ACTIVATIONS,
)


@dataclass(frozen=True)
class Compiled:
    """The compiler wrote a model; the counts are its own, `ops_total` the model's if it gave none.

    `printed` is everything that the compiler wrote to its output, here and in the other outcomes.
    """

    compiler_version: str | None
    ops_total: int
    ops_on_tpu: int
    ops_on_cpu: int
    reason: str
    printed: str = ""


@dataclass(frozen=True)
class Rejected:
    """The compiler ran, and nothing of the model runs on the Edge TPU."""

    compiler_version: str | None
    ops_total: int
    reason: str
    printed: str = ""


@dataclass(frozen=True)
class NotCompiled:
    """No compiler, or one that did not answer: where the operators run is unknown."""

    reason: str
    compiler_version: str | None = None
    printed: str = ""


Outcome = Compiled | Rejected | NotCompiled


@dataclass(frozen=True)
class CompilerRun:
    """A compiler that ended by itself: its exit code (negative for a signal) and everything it printed."""

    exit_code: int
    text: str


def judge_run(run: CompilerRun, outputs: Sequence[Path], ops_total: int) -> Outcome:
    """Return what a run came to; it is a success only if exit code, text, and size and content of each file agree."""
    log = parse_log(run.text)
    total = ops_total if log.ops_total is None else log.ops_total
    if log.outcome is LogOutcome.FAILED:
        reason = f"{COMPILER} failed with exit code {run.exit_code}: {_describe_failure(log, run.text)}"
        if log.failure in _REJECTIONS:
            return Rejected(log.compiler_version, total, reason)
        return NotCompiled(reason, log.compiler_version)
    if run.exit_code != 0:
        return NotCompiled(f"{COMPILER} reported success, but exited with code {run.exit_code}", log.compiler_version)
    if log.outcome is LogOutcome.NOTHING_MAPPED:
        reason = (
            f"{COMPILER} reported success, but mapped nothing to the Edge TPU; check that the model is quantized and "
            "that min_runtime_version is not too low"
        )
        return Rejected(log.compiler_version, total, reason)
    if problem := next(filter(None, map(_find_problem, outputs)), None):
        return NotCompiled(f"{COMPILER} reported success, but {problem}; its output is ignored", log.compiler_version)
    on_tpu, on_cpu = log.ops_on_tpu or 0, log.ops_on_cpu or 0
    reason = f"{on_tpu} of {total} operators run on the Edge TPU, according to {COMPILER}{_describe_rest(log)}"
    return Compiled(log.compiler_version, total, on_tpu, on_cpu, reason)


def _describe_failure(log: CompilerLog, text: str) -> str:
    """Add the text's last line to a failure that no line of the log explains."""
    last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
    return describe_failure(log) + (f"; last line: {last}" if last and not log.detail else "")


def _find_problem(output: Path) -> str | None:
    """Return what is wrong with the compiled file, if anything."""
    if not output.is_file():
        return f"did not write {output.name}"
    size = output.stat().st_size
    if size < MIN_COMPILED_BYTES:
        return f"{output.name} is a stub of {size} bytes"
    content = output.read_bytes()
    if content[4:8] != FILE_IDENTIFIER:
        return f"{output.name} is not a TFLite model"
    # The operator stands for everything that was mapped.
    if EDGE_TPU_CODE.encode() not in content:
        return f"{output.name} contains no {EDGE_TPU_CODE}: nothing in it runs on the Edge TPU"
    return None


def _describe_rest(log: CompilerLog) -> str:
    streamed = log.off_chip_bytes or 0
    memory = f"; {streamed / 1024**2:.2f} MiB of parameters do not fit on the chip and are streamed" if streamed else ""
    rows = [f"{row.count} {row.op} ({row.status})" for row in log.operators if row.status != MAPPED_STATUS]
    return memory + (f"; left on the CPU: {', '.join(rows)}" if rows else "")
