"""What all tests of a process share, and no test may leave changed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPO_DIR = str(Path(__file__).resolve().parents[1])
SIGNALS = (signal.SIGINT, signal.SIGTERM)
# New variables that tests must remove. Others come from libraries, such as TensorFlow, when they are first imported.
OURS = ("AWS_", "COV", "CUDA_", "GOOGLE_", "HTTP", "NO_PROXY", "PYTHON", "REEFLINE_", "TF_CONFIG", "XDG_")


@dataclass(frozen=True)
class ProcessState:
    """The parts of a process that a test can change for the tests after it."""

    folder: str
    search_path: tuple[str, ...]
    environment: Mapping[str, str]
    umask: int
    handlers: Mapping[signal.Signals, Any]
    blocked_signals: frozenset[int]

    @classmethod
    def read(cls) -> ProcessState:
        """Return the state of this process."""
        umask = os.umask(0o022)
        os.umask(umask)
        return cls(
            folder=_find_folder(),
            search_path=tuple(sys.path),
            # pytest changes this one itself.
            environment={name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"},
            umask=umask,
            handlers={number: signal.getsignal(number) for number in SIGNALS},
            blocked_signals=frozenset(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))),
        )

    def find_changes(self) -> list[str]:
        """Return what differs in this process now, a line for each change."""
        now = ProcessState.read()
        changes = [
            f"environment variable {name}: {self.environment.get(name)!r} -> {now.environment.get(name)!r}"
            for name in sorted(self.environment.keys() | now.environment.keys())
            if (name in self.environment or name.startswith(OURS))
            and self.environment.get(name) != now.environment.get(name)
        ]
        changes += [f"sys.path lacks {path}" for path in set(self.search_path) - set(now.search_path)]
        # Libraries add folders inside the environment that they were installed into.
        added = [path for path in now.search_path if path not in self.search_path]
        changes += [f"sys.path has {path}" for path in added if not path.startswith(sys.prefix)]
        changes += [
            f"{name}: {before!r} -> {after!r}"
            for name, before, after in (
                ("working directory", self.folder, now.folder),
                ("umask", oct(self.umask), oct(now.umask)),
                ("blocked signals", sorted(self.blocked_signals), sorted(now.blocked_signals)),
                *((f"handler of {n.name}", self.handlers[n], now.handlers[n]) for n in SIGNALS),
            )
            if before != after
        ]
        return changes

    def restore(self) -> None:
        """Put the process back into this state; what libraries added stays."""
        if _find_folder() != self.folder:
            os.chdir(self.folder)
        vendored = [path for path in sys.path if path not in self.search_path and path.startswith(sys.prefix)]
        sys.path[:] = [*self.search_path, *vendored]
        os.umask(self.umask)
        for name in [name for name in os.environ if name.startswith(OURS) and name not in self.environment]:
            del os.environ[name]
        os.environ.update(self.environment)
        for number, handler in self.handlers.items():
            if handler is not None:
                signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, self.blocked_signals)


def _find_folder() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return "a folder that was deleted"
