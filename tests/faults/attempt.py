"""One run of local_runner.py in a fork of this process: a process like any other, without the seconds of its imports.

The parent imports what a run imports, TensorFlow and the Object Detection API included, but never calls TensorFlow: its
threads would not survive a fork.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import runpy
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reefline.system.files import write_whole

REPO_DIR = Path(__file__).resolve().parents[2]
RUNNER = REPO_DIR / "local_runner.py"
# Far longer than any run here takes, even on a busy machine.
PATIENCE_S = 900.0
# How long a killed run's own child processes may live on.
_CHILDREN_MAY_LIVE_S = 20.0
_POLL_S = 0.05
_NO_EXIT_CODE = 99

_LIGHT = (
    "pipeline.local.run",
    "pipeline.local.dag_runner",
    "pipeline.pipeline",
    "tensorflow_data_validation",
    "reefline.report.rebuild",
)
_HEAVY = (
    "object_detection.model_lib_v2",
    "reefline.training.loop",
    "reefline.export.export_model",
    "reefline.export.preflight",
    "reefline.inference.score_split",
    "reefline.report.review",
    "matplotlib.backends.backend_svg",
)


def preload(*, training: bool) -> None:
    """Import what runs import; `training` also what only the components from EdgeTpuPreflight on import."""
    from reefline.od_api import compat

    compat.apply()
    from pipeline.local.light_imports import defer_package

    defer_package("tfx.components")
    for module in (*_LIGHT, *(_HEAVY if training else ())):
        importlib.import_module(module)


@dataclass(frozen=True)
class Line:
    """A line of a run's standard output, and the seconds from its start to the line."""

    text: str
    seconds: float


class Attempt:
    """A run in a fork; it leads its own session, so that what it leaves behind is found.

    `cpu_s` is what it used in all, known at its end.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        errors: Path,
        before: Callable[[], None] | None = None,
        program: Path = RUNNER,
    ) -> None:
        """Start it; `before` is called in the new process first, `errors` gets its standard error."""
        reading, writing = os.pipe()
        self.lines: list[Line] = []
        self.exit_code: int | None = None
        self.cpu_s = 0.0
        self._output, self._rest = reading, b""
        self._started_s = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reading)
            _become(program, arguments, environment, writing, errors, before)
        os.close(writing)

    @property
    def text(self) -> str:
        """All that it has printed so far."""
        return "\n".join(line.text for line in self.lines)

    def components(self, state: str) -> list[str]:
        """Return the components that were reported as `state`, in order."""
        return [line.text.partition(":")[0] for line in self.lines if line.text.partition(": ")[2].startswith(state)]

    def read_until(self, wanted: Callable[[str], bool] | None = None, *, seconds: float = PATIENCE_S) -> bool:
        """Read lines until one is `wanted`, the output ends or the time is over; return whether it was found."""
        deadline_s = time.monotonic() + seconds
        while (left_s := deadline_s - time.monotonic()) > 0:
            if not select.select([self._output], [], [], left_s)[0]:
                return False
            fresh = self._split_block()
            if fresh is None:
                return False
            if wanted is not None and any(wanted(line.text) for line in fresh):
                return True
        return False

    def _split_block(self) -> list[Line] | None:
        """Read what there is, and return the lines that it completes; None at the end of the output."""
        block = os.read(self._output, 1 << 16)
        if not block:
            return None
        *complete, self._rest = (self._rest + block).split(b"\n")
        now_s = time.monotonic() - self._started_s
        fresh = [Line(text.decode("utf-8", "replace").rpartition("\r")[2], now_s) for text in complete]
        self.lines += fresh
        return fresh

    def send(self, number: int) -> None:
        """Send a signal to the run itself, as `kill` does; nothing happens to one that has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def end(self, *, seconds: float = PATIENCE_S) -> int:
        """Wait for its end and return the exit code, negative for a signal; a run that hangs is killed.

        Raises:
            TimeoutError: it did not end in time.
        """
        deadline_s = time.monotonic() + seconds
        # Not until the output ends: children that outlive the run may hold it open.
        while self.exit_code is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self.exit_code = os.waitstatus_to_exitcode(status)
                self.cpu_s = usage.ru_utime + usage.ru_stime
            elif time.monotonic() > deadline_s:
                self.kill_all()
                os.waitpid(self.pid, 0)
                raise TimeoutError(f"the run did not end within {seconds:.0f} s; it printed:\n{self.text[-2000:]}")
            elif not self.read_until(seconds=_POLL_S):
                time.sleep(_POLL_S / 10)
        while select.select([self._output], [], [], 0)[0] and self._split_block() is not None:
            pass
        os.close(self._output)
        return self.exit_code

    def wait_for_children(self) -> list[str]:
        """Wait for the processes that it started to end by themselves; kill and return those that do not."""
        deadline_s = time.monotonic() + _CHILDREN_MAY_LIVE_S
        while (alive := _list_session(self.pid)) and time.monotonic() < deadline_s:
            time.sleep(_POLL_S)
        if alive:
            self.kill_all()
        return list(alive.values())

    def kill_all(self) -> None:
        """Kill it and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


def _become(
    program: Path,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    output: int,
    errors: Path,
    before: Callable[[], None] | None,
) -> None:
    """Turn this fork into the run; never returns."""
    code = _NO_EXIT_CODE
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 2)
        os.environ.update(environment)
        # Remembered from the parent's environment.
        tempfile.tempdir = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, mode) for n, mode in ((0, "r"), (1, "w"), (2, "w")))
        sys.argv = [program.name, *arguments]
        if before is not None:
            before()
        runpy.run_path(str(program), run_name="__main__")
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except KeyboardInterrupt:
        # As Python itself ends.
        code = 128 + signal.SIGINT
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _list_session(leader: int) -> dict[int, str]:
    """Return the live processes of a session by pid, with their command lines; see proc(5), /proc/pid/stat."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            state, _, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(session) == leader and state != "Z":
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    return found


def as_program(folder: Path, name: str, code: str) -> Path:
    """Return a Python file that an Attempt can run instead of local_runner.py."""
    program = folder / f"{name}.py"
    write_whole(program, code)
    return program
