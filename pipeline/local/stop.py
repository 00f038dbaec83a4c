"""Why a run stopped early: an error, as the terminal, the exit code and the report need it."""

from __future__ import annotations

import contextlib
import re
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from reefline.edgetpu.record import EdgeTpuRecord, PreflightError
from reefline.errors import DataError, UserError
from reefline.findings import Finding
from reefline.formats.damaged_records import find_damaged_records, tells_of_damage
from reefline.report.collect import EarlyEnd
from reefline.report.summary import Failure
from reefline.system.files import is_out_of_space

if TYPE_CHECKING:
    from typing_extensions import Self


_CTRL_C, _SIGTERM = 130, 143
_SIGNAL_EXIT_CODES = (_CTRL_C, _SIGTERM)


class Terminated(KeyboardInterrupt):
    """SIGTERM: ends a run like Ctrl-C, with a report."""


@dataclass(frozen=True)
class Stop:
    """Where and why a run stopped; `problems` are one message each, `findings` and `edgetpu` what the error carried."""

    component: str
    exit_code: int
    problems: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    edgetpu: Optional[EdgeTpuRecord] = None

    @classmethod
    def from_error(
        cls, error: BaseException, component: str, run_folder: Path, shown_as: Mapping[Path, str] | None = None
    ) -> Self:
        """Return the stop for an error in `component`; the traceback of an unexpected error goes to error.log.

        `shown_as` maps a path in the workspace to the path that the user knows. Messages name the latter.
        """
        exit_code, problems = _explain(error, run_folder)
        return cls(
            component,
            exit_code,
            tuple(_show_paths(problem, shown_as or {}) for problem in problems),
            error.findings if isinstance(error, DataError) else (),
            error.edgetpu if isinstance(error, PreflightError) else None,
        )

    @property
    def is_by_signal(self) -> bool:
        """Whether Ctrl-C or SIGTERM stopped the run."""
        return self.exit_code in _SIGNAL_EXIT_CODES

    @property
    def end(self) -> EarlyEnd:
        """The stop as the run's records have it."""
        return EarlyEnd(Failure(self.component, "\n".join(self.problems)), self.findings, self.edgetpu)


def _explain(error: BaseException, run_folder: Path) -> tuple[int, tuple[str, ...]]:
    """Return the exit code and the messages of an error."""
    if isinstance(error, UserError):
        return error.exit_code, error.problems
    if is_out_of_space(error):
        workspace = run_folder.parents[1]
        return 2, (f"{workspace}: no space left on the device; free some, or pass another --workspace DIR",)
    if isinstance(error, KeyboardInterrupt):
        terminated = isinstance(error, Terminated)
        return (_SIGTERM, ("stopped by SIGTERM",)) if terminated else (_CTRL_C, ("stopped by Ctrl-C",))
    details = "".join(traceback.format_exception(error))
    damaged = _find_damaged_artifacts(run_folder.parents[1], details)
    if damaged:
        return 2, damaged
    log_file = run_folder / "error.log"
    with contextlib.suppress(OSError):
        log_file.write_text(details, encoding="utf-8", errors="backslashreplace")
    first_line = next(iter(str(error).splitlines()), "")
    return 1, (f"unexpected {type(error).__name__}: {first_line} (traceback: {log_file})",)


def _find_damaged_artifacts(workspace: Path, details: str) -> tuple[str, ...]:
    """Return a message for each damaged file of records, none if the error's traceback is about something else."""
    if not tells_of_damage(details):
        return ()
    return tuple(
        f"{path}: damaged; delete the folder {path.parents[1]} and run the same command to make it again"
        for path in find_damaged_records(workspace / "artifacts")
    )


def _show_paths(problem: str, shown_as: Mapping[Path, str]) -> str:
    """Replace paths in a message: components see the data folder under a name that is the same for all data."""
    for path, shown in shown_as.items():
        problem = shown.join(re.split(rf"{re.escape(str(path))}(?![\w-])", problem))
    return problem
