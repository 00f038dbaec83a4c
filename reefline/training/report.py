"""How far a training run has come, and what it did: the record behind the "training" part of summary.json."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from reefline.system.record import Record

if TYPE_CHECKING:
    from typing_extensions import Self


class StopReason(str, enum.Enum):
    """Why training ended."""

    ALL_STEPS_DONE = "all_steps_done"
    EARLY_STOPPING = "early_stopping"


@dataclass(frozen=True)
class EvaluationPoint(Record):
    """One evaluation: fractions 0..1, None without ground truth; `loss` is None where it is NaN or infinite."""

    step: int
    map: float | None
    map_50: float | None
    loss: float | None


@dataclass(frozen=True)
class TrainingState(Record):
    """How far a training run has come: what its newest complete checkpoint does not hold itself.

    `step` is that checkpoint's, 0 without one; `seconds` is the time spent until then; `started_from` is as in
    TrainingReport.
    """

    step: int = 0
    seconds: float = 0.0
    evaluations: tuple[EvaluationPoint, ...] = ()
    started_from: str = ""

    @property
    def best(self) -> EvaluationPoint | None:
        """The first evaluation with the highest mAP; without any ground truth, the first evaluation."""
        best = None
        for point in self.evaluations:
            if best is None or (point.map is not None and (best.map is None or point.map > best.map)):
                best = point
        return best

    @property
    def evaluations_since_best(self) -> int:
        """How many evaluations came after the best one."""
        return sum(1 for point in self.evaluations if self.best is not None and point.step > self.best.step)

    def with_evaluation(self, point: EvaluationPoint) -> TrainingState:
        """Return the state after one more evaluation."""
        return replace(self, evaluations=(*self.evaluations, point))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read back what `write` wrote; a missing file is the beginning.

        Raises:
            RecordError: the file is damaged.
        """
        return super().read(path) if path.is_file() else cls()


@dataclass(frozen=True)
class TrainingReport(Record):
    """What a training run did; `seconds` is wall-clock time from the first trace to the last evaluation.

    `started_from` describes the weights it started from, "" for new weights.
    """

    steps: int
    best_step: int
    stop_reason: StopReason
    seconds: float
    evaluations: tuple[EvaluationPoint, ...]
    started_from: str = ""
