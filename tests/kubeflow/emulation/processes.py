"""How a container's command becomes a process of this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.kubeflow.emulation.pod import Pod

_POLL_S = 0.05


@dataclass(frozen=True)
class Call:
    """A command in a pod; `volumes` are the folders of this machine that it mounts, by the path in the container."""

    command: tuple[str, ...]
    env: Mapping[str, str]
    pod: Pod
    log: Path
    volumes: Mapping[str, Path]


class Processes(Protocol):
    """Runs commands."""

    has_own_root: bool

    def run(self, call: Call, kill_when: Callable[[], bool] | None = None) -> int:
        """Run a command and return its exit code, negative for a signal.

        `kill_when` is asked all the time; once true, all processes of the pod get SIGKILL.
        """


class PlainProcesses:
    """Each command is a new process, as in a pod."""

    has_own_root = False

    def run(self, call: Call, kill_when: Callable[[], bool] | None = None) -> int:
        """Run a command and return its exit code, negative for a signal."""
        with call.log.open("wb") as log:
            process = subprocess.Popen(
                call.command,
                cwd=call.pod.on_host("/work"),
                env=dict(call.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            return wait(process.poll, process.pid, kill_when)


def wait(poll: Callable[[], int | None], pid: int, kill_when: Callable[[], bool] | None) -> int:
    """Wait for a process that leads a session, and kill the session when asked to."""
    try:
        while (status := poll()) is None:
            if kill_when is not None and kill_when():
                kill_session(pid)
                kill_when = None
            time.sleep(_POLL_S)
    finally:
        # What a container starts ends with it.
        kill_session(pid)
    return status


def kill_session(pid: int) -> None:
    """Kill a process and all that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
