"""What a training run did: the record behind the "training" part of summary.json."""

from __future__ import annotations

import enum
import json
from dataclasses import asdict, dataclass
from pathlib import Path


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
