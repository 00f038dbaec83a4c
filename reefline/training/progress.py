"""What training shows: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import statistics
import time
from typing import TextIO

from reefline.system.terminal import ProgressBar, format_duration
from reefline.training.overfitting import LossPair, describe_overfitting
from reefline.training.report import EvaluationPoint

PLAIN_LINE_EVERY_S = 15.0
# Enough steps for a fair estimate of the rest; a longer rest is worth a line.
ESTIMATED_AFTER_STEPS = 20
LONG_RUN_S = 3600.0


class TrainingProgress(ProgressBar):
    """A progress bar with loss, steps/s and time left; use it as a context manager."""

    def __init__(self, total_steps: int, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        """Show `total_steps` steps on `stream`, by default standard output; `quiet` shows nothing."""
        super().__init__(stream, plain_line_every_s=PLAIN_LINE_EVERY_S, waiting="preparing the first step", quiet=quiet)
        self._total_steps = total_steps
        self._started_s = time.monotonic()
        self._paused_s = 0.0
        self._first_step: int | None = None
        self._loss: float | None = None
        self._speed = ""
        self._losses_since_evaluation: list[float] = []
        self._losses: list[LossPair] = []

    def step(self, step: int, loss: float) -> None:
        """Report that `step` steps are done; `loss` is the last one's total loss."""
        now_s = time.monotonic()
        if self._first_step is None:
            # The first step holds the trace, so the clock for steps/s starts after it.
            self._first_step, self._started_s, self._paused_s = step, now_s, 0.0
        done, elapsed_s = step - self._first_step, now_s - self._started_s - self._paused_s
        self._loss, self._speed = loss, ""
        self._losses_since_evaluation.append(loss)
        if done > 0 and elapsed_s > 0:
            left_s = (self._total_steps - step) * elapsed_s / done
            self._speed = f"  {done / elapsed_s:.2f} steps/s  ETA {format_duration(left_s)}"
            if done == ESTIMATED_AFTER_STEPS and left_s > LONG_RUN_S:
                self.note(
                    f"{done} steps took {format_duration(elapsed_s)}: about {format_duration(left_s)} left, without "
                    "evaluations. To stop, press Ctrl-C: a checkpoint is saved."
                )
        is_first_or_last = step in (self._first_step, self._total_steps)
        text = f"step {step}/{self._total_steps}  loss {loss:.3f}{self._speed}"
        self.show(step, self._total_steps, text, now=is_first_or_last)

    def evaluation(self, point: EvaluationPoint, best: EvaluationPoint | None, seconds: float) -> None:
        """Report the end of a cycle in one line; its evaluation took `seconds`, which do not count as training time."""
        self._paused_s += seconds
        if self._losses_since_evaluation and point.loss is not None:
            training_loss = statistics.fmean(self._losses_since_evaluation)
            self._losses.append(LossPair(point.step, training_loss, point.loss))
        self._losses_since_evaluation.clear()
        loss = "" if self._loss is None else f"  loss {self._loss:.3f}"
        best_text = "" if best is None else f"  best {_format_fraction(best.map)} (step {best.step})"
        self.note(
            f"step {point.step}/{self._total_steps}{loss}  eval loss {_format_fraction(point.loss)}  "
            f"mAP {_format_fraction(point.map)}  mAP_50 {_format_fraction(point.map_50)}{best_text}{self._speed}"
        )

    def tell_overfitting(self) -> None:
        """Report whether the losses of this process's steps show overfitting."""
        found = describe_overfitting(self._losses)
        if found:
            self.note(found)


def _format_fraction(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"
