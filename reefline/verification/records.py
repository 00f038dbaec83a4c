"""What a verification finds out: the records behind `reefline verify` and its --json."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from reefline.edgetpu.record import EdgeTpuRecord
from reefline.findings import Severity
from reefline.od_api.probe import AnchorFit, ModelFacts

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Problem:
    """One problem: an error makes the run fail or worthless, a warning may be fine.

    `keys` are the dotted names of the config values that it follows from, none where it follows from no value.
    """

    severity: Severity
    message: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataFacts:
    """The data set: images a split as a run would divide them, and how many of them were looked into.

    The counts are estimates from the split fractions where `counts_are_exact` is false. `read_annotations` is how many
    annotations the class names come from.
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
    """Bytes; what was not measured is None.

    `estimated` is what training adds to the process, reckoned before it starts; `available` what the machine, or the
    GPU, has left for it. `peak_resident` is this process's highest, `gpu_peak` the first GPU's.
    """

    estimated: int
    available: int | None
    peak_resident: int | None = None
    weights: int | None = None
    optimizer: int | None = None
    gpu_peak: int | None = None


@dataclass(frozen=True)
class Timings:
    """Seconds, as measured: imports and building, the first step (it traces), a step and an image after that."""

    start_s: float
    first_step_s: float
    step_s: float
    first_evaluation_s: float
    evaluation_image_s: float


@dataclass(frozen=True)
class RunEstimate:
    """How long the training of the whole run takes: its steps, evaluations, and what comes before them, in seconds."""

    start_s: float
    training_s: float
    evaluations: int
    evaluation_s: float
    epochs: float

    @property
    def total_s(self) -> float:
        """All of it."""
        return self.start_s + self.training_s + self.evaluation_s


@dataclass(frozen=True)
class VerificationReport:
    """All that was found out; a part is None where a problem kept it from being looked at."""

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
        """The messages of the problems that have to be mended."""
        return tuple(problem.message for problem in self.problems if problem.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The messages of what is doubtful."""
        return tuple(problem.message for problem in self.problems if problem.severity is Severity.WARNING)

    @property
    def exit_code(self) -> int:
        """0 where the run can start, 2 where something has to be mended, as local_runner.py has it."""
        return 2 if self.errors else 0

    def to_json(self) -> dict[str, Any]:
        """Return what `reefline verify --json` prints: the fields of this record, with the totals beside them."""
        record = {"schema_version": SCHEMA_VERSION, **asdict(self)}
        record["problems"] = [{"severity": p.severity.value, "message": p.message} for p in self.problems]
        if self.anchors is not None:
            record["anchors"]["missed_fraction"] = self.anchors.missed_fraction
        if self.estimate is not None:
            record["estimate"]["total_s"] = self.estimate.total_s
        if self.edgetpu is not None:
            record["edgetpu"] = self.edgetpu.to_json()
        return record
