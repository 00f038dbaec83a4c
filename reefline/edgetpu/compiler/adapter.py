"""Running edgetpu_compiler, Coral's closed compiler for x86-64 Debian.

Texts and exit codes follow Coral's documentation and logs of versions 1.0 to 16.0.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from reefline.edgetpu.compiled import COMPILED_SUFFIX
from reefline.edgetpu.compiler.command import Command, find_command
from reefline.edgetpu.compiler.outcome import COMPILER, Compiled, CompilerRun, NotCompiled, Outcome, judge_run
from reefline.settings import CompilerSettings
from reefline.system.files import write_whole

_CONTAINER_REMOVAL_TIMEOUT_S = 30.0
# Real logs have a few thousand bytes.
_MAX_LOG_BYTES = 1024**2
# docker and podman exit with these if they cannot run a container, or cannot find the compiler in it.
_ENGINE_FAILURES = (125, 126, 127)
_SHOWN_CHARACTERS = 300


def compile_for_edge_tpu(model: Path, target: Path, *, ops_total: int, settings: CompilerSettings) -> Outcome:
    """Compile `model` to `target` if a compiler is available.

    `ops_total` is the number of operators in `model`. `target` is written, completely, only if the outcome is
    `Compiled`.

    Raises:
        OSError: `target` cannot be written.
    """
    return compile_segments(model, (target,), ops_total=ops_total, settings=settings)


def compile_segments(model: Path, targets: Sequence[Path], *, ops_total: int, settings: CompilerSettings) -> Outcome:
    """Compile `model` to one file for each Edge TPU of a pipeline, if a compiler is available.

    The targets are written, each completely, only if the outcome is `Compiled`.

    Raises:
        OSError: a target cannot be written.
    """
    model = model.resolve()
    with tempfile.TemporaryDirectory(prefix="reefline-compile-") as scratch:
        output_dir = Path(scratch) / "output"
        output_dir.mkdir()
        command = find_command(model, output_dir, settings, len(targets))
        if isinstance(command, NotCompiled):
            return command
        run = _try_run(command, Path(scratch), settings)
        if isinstance(run, NotCompiled):
            return run
        outputs = [output_dir / name for name in name_outputs(model.stem, len(targets))]
        outcome = replace(judge_run(run, outputs, ops_total), printed=run.text)
        if isinstance(outcome, Compiled):
            for output, target in zip(outputs, targets, strict=True):
                write_whole(target, output.read_bytes())
    return outcome


def name_outputs(stem: str, segments: int = 1) -> tuple[str, ...]:
    """Return how the compiler names the files that it makes of `stem`.tflite."""
    if segments == 1:
        return (f"{stem}{COMPILED_SUFFIX}.tflite",)
    return tuple(f"{stem}_segment_{index}_of_{segments}{COMPILED_SUFFIX}.tflite" for index in range(segments))


def _try_run(command: Command, scratch: Path, settings: CompilerSettings) -> CompilerRun | NotCompiled:
    """Return a run of the compiler itself, or why it did not run to its end."""
    try:
        run = _run(command, scratch, settings.timeout_s)
    except subprocess.TimeoutExpired:
        return NotCompiled(f"{COMPILER} did not finish within {settings.timeout_s:g} s")
    except OSError as error:
        return NotCompiled(f"cannot run {command.line[0]}: {error}")
    if settings.image is not None and run.exit_code in _ENGINE_FAILURES:
        printed = " ".join(run.text.split())[:_SHOWN_CHARACTERS]
        return NotCompiled(f"{Path(command.line[0]).name} could not run the image {settings.image}: {printed}")
    return run


def _run(command: Command, scratch: Path, timeout_s: float) -> CompilerRun:
    """Run a command in its own process group, which ends with it.

    Raises:
        subprocess.TimeoutExpired: it did not end in time and was killed.
        OSError: it cannot be started.
    """
    temporary = scratch / "tmp"
    temporary.mkdir()
    log = scratch / "log.txt"
    with log.open("wb") as stream:
        # A file, not a pipe: a grandchild that keeps a pipe open would block beyond the timeout.
        process = subprocess.Popen(
            command.line,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            cwd=scratch,
            env={**os.environ, "TMPDIR": str(temporary)},
            start_new_session=True,
        )
        try:
            exit_code = process.wait(timeout_s)
        except BaseException:
            # Ctrl-C too: the terminal does not send it to the new group.
            _kill(process, command)
            raise
    return CompilerRun(exit_code, _read_end(log))


def _read_end(log: Path) -> str:
    """Return the end of a log, however long it is: totals and table are its last lines."""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _MAX_LOG_BYTES))
        return stream.read().decode("utf-8", errors="replace")


def _kill(process: subprocess.Popen[bytes], command: Command) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if command.clean_up:
        try:
            subprocess.run(command.clean_up, capture_output=True, timeout=_CONTAINER_REMOVAL_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired):
            # The engine itself hangs or is gone; the caller already reports that the run did not end.
            return
