"""The results of a verification: the records behind `reefline verify` and its --json."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import pydantic

from reefline.edgetpu.record import EdgeTpuRecord
from reefline.findings import Severity
from reefline.od_api.probe import AnchorFit, ModelFacts
from reefline.system.record import Record

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Problem:
    """One problem: an error makes the run fail or worthless, a warning may be fine.

    `keys` are the dotted names of the config values that it follows from, if any; JSON leaves them out.
    """

    severity: Severity
    message: str
    keys: Annotated[tuple[str, ...], pydantic.Field(exclude=True)] = ()


@dataclass(frozen=True)
class DataFacts:
    """The data set: images per split of a run, and how many of them the sample holds.

    Unless `counts_are_exact`, the counts are estimates from the split fractions. `read_annotations` is how many
    annotations were read for the class names.
    """

    train_images: int
    eval_images: int
    test_images: int
    counts_are_exact: bool
    classes: tuple[str, ...]
    read_annotations: int
    max_boxes_per_image: int
    sampled_images: int
    sampled_boxes: int

    @property
    def images(self) -> int:
        """All images."""
        return self.train_images + self.eval_images + self.test_images


@dataclass(frozen=True)
class MemoryUse:
    """Memory in bytes; None for what was not measured.

    `estimated` is what training is expected to add to the process, `available` what the machine or the GPU has free.
    `peak_resident` is the peak of this process, `gpu_peak` that of the first GPU.
    """

    estimated: int
    available: int | None
    peak_resident: int | None = None
    weights: int | None = None
    optimizer: int | None = None
    gpu_peak: int | None = None


@dataclass(frozen=True)
class Timings:
    """Measured seconds: imports and building, the first step (it traces), a later step, and the same for evaluation.

    `first_evaluation_s` is what the first evaluation takes in addition to its images.
    """

    start_s: float
    first_step_s: float
    step_s: float
    first_evaluation_s: float
    evaluation_image_s: float


@dataclass(frozen=True)
class RunEstimate:
    """How long training will take, in seconds: start, steps and evaluations."""

    start_s: float
    training_s: float
    evaluations: int
    evaluation_s: float
    epochs: float

    @property
    def total_s(self) -> float:
        """The sum."""
        return self.start_s + self.training_s + self.evaluation_s


@dataclass(frozen=True)
class VerificationReport(Record):
    """Everything that a verification found; a part is None if a problem prevented it."""

    schema_version: int = field(default=SCHEMA_VERSION, kw_only=True)
    config: str
    model_name: str
    problems: tuple[Problem, ...] = ()
    data: DataFacts | None = None
    model: ModelFacts | None = None
    anchors: AnchorFit | None = None
    memory: MemoryUse | None = None
    timings: Timings | None = None
    first_loss: float | None = None
    estimate: RunEstimate | None = None
    edgetpu: EdgeTpuRecord | None = None

    @property
    def errors(self) -> tuple[str, ...]:
        """The messages of the errors."""
        return tuple(problem.message for problem in self.problems if problem.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The messages of the warnings."""
        return tuple(problem.message for problem in self.problems if problem.severity is Severity.WARNING)

    @property
    def exit_code(self) -> int:
        """0 if the run can start, 2 if there are errors, as in local_runner.py."""
        return 2 if self.errors else 0

    def to_json(self) -> dict[str, Any]:
        """Return what `reefline verify --json` prints: the fields of this record and the totals."""
        record = super().to_json()
        if self.anchors is not None:
            record["anchors"]["missed_fraction"] = self.anchors.missed_fraction
        if self.estimate is not None:
            record["estimate"]["total_s"] = self.estimate.total_s
        return record
