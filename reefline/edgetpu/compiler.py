"""The door to edgetpu_compiler, Coral's closed compiler for x86-64 Debian.

Options, texts and exit codes follow Coral's documentation and logs of versions 1.0 to 16.0.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from reefline.edgetpu.record import EdgeTpuRecord, PlacementSource

COMPILER = "edgetpu_compiler"
# The custom operator that stands for everything that was mapped; a file without it holds nothing for the TPU.
_EDGE_TPU_OP = b"edgetpu-custom-op"
_VERSION = re.compile(r"Edge TPU Compiler version (\S+)")
_TOTAL = re.compile(r"Total number of operations: (\d+)")
_ON_TPU = re.compile(r"Number of operations that will run on Edge TPU: (\d+)")
_ON_CPU = re.compile(r"Number of operations that will run on CPU: (\d+)")


def find_compiler() -> Path | None:
    """Return the compiler on the PATH, or None."""
    found = shutil.which(COMPILER)
    return Path(found) if found else None


def compile_for_edge_tpu(model: Path, target: Path, *, ops_total: int, timeout_s: float) -> EdgeTpuRecord:
    """Compile `model` to `target` when the compiler is there; the record says what came of it.

    `ops_total` is the number of operators in `model`. `target` exists afterwards only if the record says `compiled`.
    """
    compiler = find_compiler()
    if compiler is None:
        return _not_compiled(ops_total, None, f"{COMPILER} is not on the PATH; which operators map was not determined")
    with tempfile.TemporaryDirectory() as scratch:
        command = [str(compiler), "-s", "-o", scratch, str(model)]
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, errors="replace")
        except subprocess.TimeoutExpired:
            return _not_compiled(ops_total, None, f"{COMPILER} did not finish within {timeout_s:g} s")
        except OSError as error:
            return _not_compiled(ops_total, None, f"{compiler} cannot be run: {error}")
        output = Path(scratch) / f"{model.stem}_edgetpu.tflite"
        record = _read_outcome(run, output, ops_total)
        if record.compiled:
            shutil.copyfile(output, target)
    return record


def _read_outcome(run: subprocess.CompletedProcess[str], output: Path, ops_total: int) -> EdgeTpuRecord:
    """Believe in success only where exit code, text and file agree."""
    text = run.stdout + run.stderr
    version = _search(_VERSION, text)
    if run.returncode != 0 or "compiled successfully" not in text:
        lines = [line.strip() for line in text.splitlines() if line.strip() and not _VERSION.search(line)]
        said = lines[-1] if lines else "nothing"
        return _not_compiled(ops_total, version, f"{COMPILER} ended with exit code {run.returncode} and said: {said}")
    if not output.is_file() or _EDGE_TPU_OP not in output.read_bytes():
        return _not_compiled(ops_total, version, f"{COMPILER} reported success, but mapped nothing to the Edge TPU")
    total = int(_search(_TOTAL, text) or ops_total)
    # A model that maps whole is reported by its total alone.
    on_tpu = int(_search(_ON_TPU, text) or total)
    on_cpu = int(_search(_ON_CPU, text) or total - on_tpu)
    return EdgeTpuRecord(
        compiled=True,
        compiler_version=version,
        source=PlacementSource.COMPILER,
        ops_total=total,
        ops_on_tpu=on_tpu,
        ops_on_cpu=on_cpu,
        ops_uncertain=max(0, total - on_tpu - on_cpu),
        reason=f"{on_tpu} of {total} operators run on the Edge TPU, says {COMPILER}",
    )


def _search(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return found.group(1) if found else None


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
