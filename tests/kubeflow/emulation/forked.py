"""Containers that are forked from a process with TFX and TensorFlow imported: it saves their import in each task."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.kubeflow.emulation.processes import Call, kill_session

_MODULE = "tests.kubeflow.emulation.fork_server"


class ForkedProcesses:
    """Runs `python -m <module> …` in a fork of one server, with the environment and the folders of the pod.

    Use it as a context manager.
    """

    has_own_root = False

    def __init__(self, code: Path) -> None:
        self._code = code
        self._server: subprocess.Popen[str] | None = None

    def __enter__(self) -> ForkedProcesses:
        env = {key: value for key, value in os.environ.items() if key != "HOME"}
        self._server = subprocess.Popen(
            [sys.executable, "-m", _MODULE],
            cwd=self._code,
            env={**env, "PYTHONPATH": str(self._code), "TF_USE_LEGACY_KERAS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server is not None and self._server.stdin is not None:
            self._server.stdin.close()
            self._server.wait()
        self._server = None

    def run(self, call: Call, kill_when: Callable[[], bool] | None = None) -> int:
        """Run a command and return its exit code, negative for a signal."""
        import threading

        python, flag, module, *arguments = call.command
        assert (Path(python).name, flag) == ("python", "-m"), f"not a Python module: {call.command[:3]}"
        self._send(
            {
                "module": module,
                "arguments": arguments,
                "env": dict(call.env),
                "cwd": str(call.pod.on_host("/work")),
                "log": str(call.log),
            }
        )
        pid = int(self._receive()["pid"])
        ended = threading.Event()

        def watch() -> None:
            while kill_when is not None and not ended.wait(0.05):
                if kill_when():
                    kill_session(pid)
                    return

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            return int(self._receive()["status"])
        finally:
            ended.set()
            watcher.join()
            kill_session(pid)

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._server is not None and self._server.stdin is not None, "use it as a context manager"
        self._server.stdin.write(json.dumps(message) + "\n")
        self._server.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        assert self._server is not None and self._server.stdout is not None
        line = self._server.stdout.readline()
        assert line, "the fork server ended"
        answer: dict[str, Any] = json.loads(line)
        return answer
