"""The door to edgetpu_compiler, Coral's closed compiler for x86-64 Debian: on the PATH, or in a container image.

Options, texts and exit codes follow Coral's documentation and logs of versions 1.0 to 16.0.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from reefline.edgetpu.compiled import COMPILED_SUFFIX
from reefline.edgetpu.compiler.failure import describe_failure
from reefline.edgetpu.compiler.log import MAPPED_STATUS, CompilerLog, FailureKind, Outcome, parse_log
from reefline.edgetpu.record import EdgeTpuRecord, PlacementSource
from reefline.settings import CompilerSettings
from reefline.system.files import write_whole
from reefline.tflite.graph import EDGE_TPU_CODE
from reefline.tflite.reader import FILE_IDENTIFIER

COMPILER = "edgetpu_compiler"
CONTAINER_ENGINES = ("docker", "podman")
# A failed run may leave a stub of about 1 KB; the smallest compiled file of Coral's that is known has 57 KiB.
MIN_COMPILED_BYTES = 4096
# What the compiler says of the model itself. The other failures may be those of a moment or of this machine.
_REFUSALS = (
    FailureKind.NOT_QUANTIZED,
    FailureKind.DYNAMIC_SHAPE,
    FailureKind.OP_VERSION,
    FailureKind.CUSTOM_OP,
    FailureKind.FLEX_OPS,
    FailureKind.LARGE_ACTIVATIONS,
)
_MODEL_MOUNT = PurePosixPath("/model")
_OUTPUT_MOUNT = PurePosixPath("/output")
_CONTAINER_REMOVAL_TIMEOUT_S = 30.0
# Real logs have some thousand bytes.
_MAX_LOG_BYTES = 1024**2
# What docker and podman end with where they could not run a container, or not find the compiler in it.
_ENGINE_FAILURES = (125, 126, 127)
_SHOWN_CHARACTERS = 300


@dataclass(frozen=True)
class _Command:
    """A command line, and the one that ends its container after a kill (empty where there is none)."""

    line: tuple[str, ...]
    clean_up: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Run:
    """A compiler that ended by itself: its exit code (negative for a signal) and all it said."""

    exit_code: int
    text: str


def find_compiler() -> Path | None:
    """Return the compiler on the PATH, or None."""
    found = shutil.which(COMPILER)
    return Path(found) if found else None


def find_container_engine() -> Path | None:
    """Return docker or podman on the PATH, docker first, or None."""
    found = next(filter(None, map(shutil.which, CONTAINER_ENGINES)), None)
    return Path(found) if found else None


def compile_for_edge_tpu(model: Path, target: Path, *, ops_total: int, settings: CompilerSettings) -> EdgeTpuRecord:
    """Compile `model` to `target` when the compiler is there; the record says what came of it.

    `ops_total` is the number of operators in `model`. `target` is written only if the record says `compiled`, and then
    whole.
    """
    model = model.resolve()
    with tempfile.TemporaryDirectory(prefix="reefline-compile-") as scratch:
        output_dir = Path(scratch) / "output"
        output_dir.mkdir()
        command = _find_command(model, output_dir, settings)
        if isinstance(command, str):
            return _not_compiled(ops_total, None, command)
        try:
            run = _run(command, Path(scratch), settings.timeout_s)
        except subprocess.TimeoutExpired:
            return _not_compiled(ops_total, None, f"{COMPILER} did not finish within {settings.timeout_s:g} s")
        except OSError as error:
            return _not_compiled(ops_total, None, f"{command.line[0]} cannot be run: {error}")
        if settings.image is not None and run.exit_code in _ENGINE_FAILURES:
            said = " ".join(run.text.split())[:_SHOWN_CHARACTERS]
            engine = Path(command.line[0]).name
            return _not_compiled(ops_total, None, f"{engine} could not run the image {settings.image}: {said}")
        output = output_dir / f"{model.stem}{COMPILED_SUFFIX}.tflite"
        record = _judge(run, output, ops_total)
        if record.compiled:
            write_whole(target, output.read_bytes())
    return record


def _find_command(model: Path, output_dir: Path, settings: CompilerSettings) -> _Command | str:
    """Return how to run the compiler, or a sentence on why it cannot be run and what to do."""
    if settings.image is not None:
        engine = find_container_engine()
        if engine is None:
            return (
                f"neither {' nor '.join(CONTAINER_ENGINES)} is on the PATH to run the image {settings.image}; "
                f"install one of them, or {COMPILER} itself"
            )
        return _in_container(engine, settings.image, model, output_dir, settings)
    compiler = find_compiler()
    if compiler is None:
        return (
            f"{COMPILER} is not on the PATH and no container image of it is named; install it (x86-64 Debian), or name "
            "an image (exporter.compiler.image, --image)"
        )
    return _Command((str(compiler), *_arguments(model, output_dir, settings)))


def _arguments(model: PurePath, output_dir: PurePath, settings: CompilerSettings) -> tuple[str, ...]:
    options = ["-s", "-o", str(output_dir), "-t", str(max(1, int(settings.timeout_s)))]
    if settings.min_runtime_version is not None:
        options += ["-m", str(settings.min_runtime_version)]
    if settings.search_delegate:
        options += ["-d", "-k", str(settings.delegate_search_step)]
    return (*options, str(model))


def _in_container(engine: Path, image: str, model: Path, output_dir: Path, settings: CompilerSettings) -> _Command:
    """Return the container's command line: no network, the model's folder read-only, one folder to write to."""
    name = f"reefline-edgetpu-{uuid.uuid4().hex}"
    line = (
        *(str(engine), "run", "--rm", "--name", name, "--platform", "linux/amd64", "--network", "none"),
        # Systems with SELinux would deny the two folders, and relabelling the user's own is not for us to do.
        *("--security-opt", "label=disable"),
        *_user_options(engine),
        *("--volume", f"{model.parent}:{_MODEL_MOUNT}:ro", "--volume", f"{output_dir}:{_OUTPUT_MOUNT}"),
        *("--workdir", str(_OUTPUT_MOUNT), "--entrypoint", COMPILER, image),
        *_arguments(_MODEL_MOUNT / model.name, _OUTPUT_MOUNT, settings),
    )
    return _Command(line, clean_up=(str(engine), "rm", "--force", name))


def _user_options(engine: Path) -> tuple[str, ...]:
    """Let the output belong to who runs Reefline: rootless podman maps users by itself, docker has to be told."""
    if engine.name == "docker":
        return ("--user", f"{os.getuid()}:{os.getgid()}")
    return ("--userns", "keep-id") if os.getuid() != 0 else ()


def _run(command: _Command, scratch: Path, timeout_s: float) -> _Run:
    """Run a command in a process group of its own, which ends with it.

    Raises:
        subprocess.TimeoutExpired: it did not end in time and was killed.
        OSError: it cannot be started.
    """
    temporary = scratch / "tmp"
    temporary.mkdir()
    log = scratch / "log.txt"
    with log.open("wb") as stream:
        # A file, not a pipe: a grandchild that kept a pipe open would keep us waiting beyond the timeout.
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
            # Ctrl-C too: the group does not get it from the terminal.
            _kill(process, command)
            raise
    return _Run(exit_code, _read_end(log))


def _read_end(log: Path) -> str:
    """Return what counts of a log, however much was printed: totals and table are its last lines."""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _MAX_LOG_BYTES))
        return stream.read().decode("utf-8", errors="replace")


def _kill(process: subprocess.Popen[bytes], command: _Command) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if command.clean_up:
        try:
            subprocess.run(command.clean_up, capture_output=True, timeout=_CONTAINER_REMOVAL_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired):
            # The engine itself is what hangs or is gone; the caller already reports that the run did not end.
            return


def _judge(run: _Run, output: Path, ops_total: int) -> EdgeTpuRecord:
    """Believe in success only where exit code, text, size and content of the file agree."""
    log = parse_log(run.text)
    if log.outcome is Outcome.FAILED:
        reason = f"{COMPILER} ended with exit code {run.exit_code}: {_describe_failure(log, run.text)}"
        if log.failure in _REFUSALS:
            return _nothing_runs(log, ops_total, reason)
        return _not_compiled(ops_total, log.compiler_version, reason)
    if run.exit_code != 0:
        reason = f"{COMPILER} ended with exit code {run.exit_code}, though its output speaks of success"
        return _not_compiled(ops_total, log.compiler_version, reason)
    if log.outcome is Outcome.NOTHING_MAPPED:
        reason = f"{COMPILER} reported success, but mapped nothing to the Edge TPU: is the model quantized, and "
        return _nothing_runs(log, ops_total, reason + "min_runtime_version not too low?")
    problem = _find_problem(output)
    if problem:
        reason = f"{COMPILER} reported success, but {problem}; its output is not taken"
        return _not_compiled(ops_total, log.compiler_version, reason)
    return _compiled(log, ops_total)


def _describe_failure(log: CompilerLog, text: str) -> str:
    """Add the last line of a text to a failure that is not explained by a line of its own."""
    last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
    said = f"; its last line: {last}" if last and not log.detail else ""
    return describe_failure(log) + said


def _find_problem(output: Path) -> str:
    """Return what is wrong with the compiled file, "" where nothing is."""
    if not output.is_file():
        return f"wrote no {output.name}"
    size = output.stat().st_size
    if size < MIN_COMPILED_BYTES:
        return f"{output.name} is a stub of {size} bytes"
    content = output.read_bytes()
    if content[4:8] != FILE_IDENTIFIER:
        return f"{output.name} is not a TFLite model"
    # It stands for everything that was mapped; a file without it holds nothing for the TPU.
    if EDGE_TPU_CODE.encode() not in content:
        return f"{output.name} holds no {EDGE_TPU_CODE}: nothing in it is for the Edge TPU"
    return ""


def _compiled(log: CompilerLog, ops_total: int) -> EdgeTpuRecord:
    total = ops_total if log.ops_total is None else log.ops_total
    on_tpu, on_cpu = log.ops_on_tpu or 0, log.ops_on_cpu or 0
    streamed = log.off_chip_bytes or 0
    memory = f"; {streamed / 1024**2:.2f} MiB of parameters do not fit on the chip and are streamed" if streamed else ""
    return EdgeTpuRecord(
        compiled=True,
        compiler_version=log.compiler_version,
        source=PlacementSource.COMPILER,
        ops_total=total,
        ops_on_tpu=on_tpu,
        ops_on_cpu=on_cpu,
        ops_uncertain=max(0, total - on_tpu - on_cpu),
        reason=f"{on_tpu} of {total} operators run on the Edge TPU, says {COMPILER}{memory}{_describe_rest(log)}",
    )


def _describe_rest(log: CompilerLog) -> str:
    rows = [f"{row.count} {row.op} ({row.status})" for row in log.operators if row.status != MAPPED_STATUS]
    return f"; left on the CPU: {', '.join(rows)}" if rows else ""


def _nothing_runs(log: CompilerLog, ops_total: int, reason: str) -> EdgeTpuRecord:
    total = ops_total if log.ops_total is None else log.ops_total
    return EdgeTpuRecord(
        compiled=False,
        compiler_version=log.compiler_version,
        source=PlacementSource.COMPILER,
        ops_total=total,
        ops_on_tpu=0,
        ops_on_cpu=total,
        ops_uncertain=0,
        reason=reason,
    )


def _not_compiled(ops_total: int, version: str | None, reason: str) -> EdgeTpuRecord:
    return EdgeTpuRecord(
        compiled=False,
        compiler_version=version,
        source=PlacementSource.PREDICTION,
        ops_total=ops_total,
        ops_on_tpu=0,
        ops_on_cpu=0,
        ops_uncertain=ops_total,
        reason=reason,
    )
