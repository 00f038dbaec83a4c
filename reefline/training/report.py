"""What a training run did: the record behind the "training" part of summary.json."""

from __future__ import annotations

import enum
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from reefline.system.files import write_whole

REPORT_FILE = "training.json"


class StopReason(str, enum.Enum):
    """Why training ended."""

    ALL_STEPS_DONE = "all_steps_done"
    EARLY_STOPPING = "early_stopping"


@dataclass(frozen=True)
class EvaluationPoint:
    """One evaluation: fractions 0..1; None where there was no ground truth to measure."""

    step: int
    map: float | None
    map_50: float | None
    loss: float


@dataclass(frozen=True)
class TrainingState:
    """How far a training run has come: what its newest whole checkpoint does not hold itself.

    `step` is the newest whole checkpoint's, 0 where there is none; `seconds` is the time spent until then.
    """

    step: int = 0
    seconds: float = 0.0
    evaluations: tuple[EvaluationPoint, ...] = ()

    @property
    def best(self) -> EvaluationPoint | None:
        """The first evaluation of the highest mAP; of runs without any ground truth the first evaluation."""
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

    def write(self, path: Path) -> None:
        """Write the state as JSON; the file is the old or the new one, whole, whenever the process or machine stops."""
        write_whole(path, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> TrainingState:
        """Read back what `write` wrote; the beginning where there is no such file."""
        if not path.is_file():
            return cls()
        record = json.loads(path.read_text())
        evaluations = tuple(EvaluationPoint(**point) for point in record.pop("evaluations"))
        return cls(**record, evaluations=evaluations)


@dataclass(frozen=True)
class TrainingReport:
    """What a training run did; `seconds` is wall-clock time from the first trace to the last evaluation."""

    steps: int
    best_step: int
    best_map: float | None
    stop_reason: StopReason
    seconds: float
    parameters: int
    evaluations: tuple[EvaluationPoint, ...]

    def write(self, path: Path) -> None:
        """Write the report as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> TrainingReport:
        """Read back what `write` wrote."""
        record = json.loads(path.read_text())
        evaluations = tuple(EvaluationPoint(**point) for point in record.pop("evaluations"))
        return cls(**{**record, "stop_reason": StopReason(record["stop_reason"]), "evaluations": evaluations})
