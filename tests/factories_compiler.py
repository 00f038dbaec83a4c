"""Executables that stand in for edgetpu_compiler and for docker or podman.

The real compiler is closed, runs only on x86-64 Debian and was not available. The stand-in accepts its options, prints
a log, ends with an exit code and writes what such a run writes.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

STUB = b"\x1c\x00\x00\x00TFL3 edgetpu-custom-op".ljust(1024, b"\x00")
COMPILED_FILE = b"\x1c\x00\x00\x00TFL3 edgetpu-custom-op".ljust(60_000, b"\x01")
# What version 16.0 prints.
SUCCESS_LOG = (
    "Edge TPU Compiler version 16.0.384591198\nModel compiled successfully in 17 ms.\n"
    "On-chip memory used for caching model parameters: 1.00MiB\n"
    "On-chip memory remaining for caching model parameters: 6.00MiB\n"
    "Off-chip memory used for streaming uncached model parameters: 2.00KiB\n"
    "Number of Edge TPU subgraphs: 1\nTotal number of operations: 3\n\n"
    "Operator  Count  Status\n\nADD  3  Mapped to Edge TPU\n"
)
FAILURE_LOG = "Edge TPU Compiler version 16.0.384591198\nInvalid model: model.tflite\nModel not quantized\n"

_COMPILER = """\
#!{python} -IS
import argparse, json, os, pathlib, subprocess, sys, time
folder = pathlib.Path(__file__).parent
parser = argparse.ArgumentParser()
parser.add_argument("-s", action="store_true")
parser.add_argument("-d", action="store_true")
for name in "otmk":
    parser.add_argument("-" + name)
parser.add_argument("-n", "--num_segments", type=int)
parser.add_argument("model")
options = parser.parse_args()
record = {{**vars(options), "cwd": os.getcwd(), "tmp": os.environ["TMPDIR"]}}
(folder / "compiler.json").write_text(json.dumps(record))
if {sleep_s}:
    child = subprocess.Popen([{python!r}, "-ISc", "import time; time.sleep({sleep_s})"])
    (folder / "child.pid").write_text(str(child.pid))
    time.sleep({sleep_s})
assert pathlib.Path(options.model).is_file(), options.model
sys.stdout.write((folder / "log.txt").read_text(encoding="utf-8"))
sys.stdout.flush()
output = folder / "output"
if output.exists():
    stem, count = pathlib.Path(options.model).stem, options.num_segments
    parts = ["_segment_%d_of_%d" % (part, count) for part in range(count)] if count else [""]
    for part in parts[: {outputs}]:
        (pathlib.Path(options.o) / (stem + part + "_edgetpu.tflite")).write_bytes(output.read_bytes())
sys.exit({exit_code})
"""

_ENGINE = """\
#!{python} -IS
import csv, json, os, pathlib, sys
folder = pathlib.Path(__file__).parent
with (folder / "engine.jsonl").open("a") as stream:
    stream.write(json.dumps(sys.argv[1:]) + "\\n")
if sys.argv[1] == "run":
    place = sys.argv.index("--entrypoint")
    arguments = sys.argv[place + 3:]
    for line in [sys.argv[i + 1] for i, argument in enumerate(sys.argv) if argument == "--mount"]:
        fields = dict(field.partition("=")[::2] for field in next(csv.reader([line])))
        source, mount = fields["source"], fields["target"]
        arguments = [source + a[len(mount):] if a == mount or a.startswith(mount + "/") else a for a in arguments]
    os.execv(folder / "compiler", ["compiler", *arguments])
"""


@dataclass(frozen=True)
class StandIn:
    """A folder for the PATH with the stand-ins, and what they were called with."""

    folder: Path

    @property
    def compiler_options(self) -> dict[str, object]:
        """The options of the compiler's last call, with its working and temporary folder."""
        return dict(json.loads((self.folder / "compiler.json").read_text()))

    @property
    def engine_calls(self) -> list[list[str]]:
        """The arguments of each call of docker or podman."""
        return [json.loads(line) for line in (self.folder / "engine.jsonl").read_text().splitlines()]

    @property
    def child_pid(self) -> int:
        """The process that the compiler started before it slept."""
        return int((self.folder / "child.pid").read_text())

    def has_child_started(self, timeout_s: float = 60.0) -> bool:
        """Wait for the process that the compiler starts before it sleeps."""
        place = self.folder / "child.pid"
        return _wait_for(lambda: place.is_file() and bool(place.read_text()), timeout_s)

    def has_child_ended(self, timeout_s: float = 10.0) -> bool:
        """Wait for the end of that process; a zombie has ended."""
        return _wait_for(lambda: not _is_running(self.child_pid), timeout_s)


def make_compiler(
    folder: Path,
    text: str,
    *,
    exit_code: int = 0,
    output: bytes | None = None,
    sleep_s: float = 0,
    engines: tuple[str, ...] = (),
    outputs: int = 99,
) -> StandIn:
    """Write a compiler that prints `text` and writes `output`; with `engines` it runs only through these.

    Of several segments it writes at most `outputs`.
    """
    folder.mkdir()
    (folder / "log.txt").write_text(text, encoding="utf-8")
    if output is not None:
        (folder / "output").write_bytes(output)
    script = _COMPILER.format(python=sys.executable, exit_code=exit_code, sleep_s=sleep_s, outputs=outputs)
    _write_executable(folder / ("compiler" if engines else "edgetpu_compiler"), script)
    for engine in engines:
        _write_executable(folder / engine, _ENGINE.format(python=sys.executable))
    return StandIn(folder)


def _is_running(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _wait_for(condition: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _write_executable(path: Path, script: str) -> None:
    path.write_text(script)
    path.chmod(0o755)
