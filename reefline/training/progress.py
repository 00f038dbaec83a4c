"""What training shows: a progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, TextIO

from reefline.training.report import EvaluationPoint

PLAIN_LINE_EVERY_S = 15.0


class TrainingProgress:
    """A progress bar with loss, steps/s and time left; use it as a context manager."""

    def __init__(self, total_steps: int, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        """Show `total_steps` steps on `stream`, by default standard output; `quiet` shows nothing."""
        self._quiet = quiet
        self._total_steps = total_steps
        self._stream = stream if stream is not None else sys.stdout
        self._started_s = time.monotonic()
        self._paused_s = 0.0
        self._first_step: int | None = None
        self._last_line_s = float("-inf")
        self._loss: float | None = None
        self._speed = ""
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> TrainingProgress:
        if self._stream.isatty() and not self._quiet:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            self._bar = Progress(
                TextColumn("  training"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[facts]}"),
                console=Console(file=self._stream),
            )
            self._bar.start()
            self._task = self._bar.add_task("training", total=self._total_steps, facts="preparing the first step")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, step: int, loss: float) -> None:
        """Report that `step` steps are done; `loss` is the last one's total loss."""
        now_s = time.monotonic()
        if self._first_step is None:
            # The first step includes the trace, so the clock for steps/s starts after it.
            self._first_step, self._started_s, self._paused_s = step, now_s, 0.0
        done, elapsed_s = step - self._first_step, now_s - self._started_s - self._paused_s
        self._loss, self._speed = loss, ""
        if done > 0 and elapsed_s > 0:
            left_s = (self._total_steps - step) * elapsed_s / done
            self._speed = f"  {done / elapsed_s:.2f} steps/s  ETA {_format_duration(left_s)}"
        facts = f"loss {loss:.3f}{self._speed}"
        if self._bar is not None:
            self._bar.update(self._task, completed=step, facts=facts)
        elif now_s - self._last_line_s >= PLAIN_LINE_EVERY_S or step == self._total_steps:
            self._last_line_s = now_s
            self._print(f"  step {step}/{self._total_steps}  {facts}")

    def evaluation(self, point: EvaluationPoint, best: EvaluationPoint | None, seconds: float) -> None:
        """Report the end of a cycle in one line; its evaluation took `seconds`, which do not count as training time."""
        self._paused_s += seconds
        loss = "" if self._loss is None else f"  loss {self._loss:.3f}"
        best_text = "" if best is None else f"  best {_format_fraction(best.map)} (step {best.step})"
        self._print(
            f"  step {point.step}/{self._total_steps}{loss}  eval loss {_format_fraction(point.loss)}  "
            f"mAP {_format_fraction(point.map)}  mAP_50 {_format_fraction(point.map_50)}{best_text}{self._speed}"
        )

    def note(self, text: str) -> None:
        """Show a message on its own line."""
        self._print(f"  {text}")

    def _print(self, line: str) -> None:
        if self._quiet:
            return
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False)
        else:
            print(line, file=self._stream, flush=True)


def _format_fraction(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _format_duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
