"""What `reefline autolabel` was asked for, what it did with each image, and autolabel.json."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reefline.curation.output_folder import OutputMode
from reefline.labelling.choosing import BoxChoice, Fallback
from reefline.labelling.tiles import Tiling
from reefline.structures.boxes import BoxXyxyPx
from reefline.system.record import Record

SCHEMA_VERSION = 1
DEFAULT_REVIEW_BELOW = 0.5


class LabelsFrom(enum.Enum):
    """What gives the class of a box; AUTO is FOLDER where the images lie in one folder per label."""

    AUTO = "auto"
    FOLDER = "folder"
    MODEL = "model"


@dataclass(frozen=True)
class AutolabelRequest:
    """Which images to label with which model, and how.

    `min_score` None means what the model suggests for each class, or 0.3. Images with a box below `review_below` go to
    review/. `rename` is a CSV file of the model's class names and others.
    """

    data: Path
    out: Path
    model: str | None = None
    label_map: str | None = None
    labels_from: LabelsFrom = LabelsFrom.AUTO
    detector_classes: tuple[str, ...] = ()
    rename: Path | None = None
    boxes: BoxChoice = BoxChoice.AUTO
    min_score: float | None = None
    review_below: float = DEFAULT_REVIEW_BELOW
    fallback: Fallback = Fallback.NONE
    tiling: Tiling | None = None
    mode: OutputMode = OutputMode.NEW
    is_quiet: bool = False


class OutcomeKind(str, enum.Enum):
    """What became of an image."""

    LABELLED = "labelled"
    REVIEW = "review"
    NOTHING_FOUND = "nothing_found"
    KEPT = "kept"
    UNUSABLE = "unusable"


@dataclass(frozen=True)
class FoundBox:
    """A box that the model drew: its class, its score of 0..1, and where it is in the upright image."""

    label: str
    score: float
    box_xyxy_px: BoxXyxyPx


@dataclass(frozen=True)
class ImageOutcome(Record):
    """One image of the input: what became of it, and the boxes that the model drew, best score first.

    `image` is relative to the input, `saved_as` to the output folder, "" where nothing was written. `label` is that of
    its folder, None where the model gives the class. The sha256 are those of the image and its annotation in the input,
    and of the annotation that was written, "" for a file that is missing or unreadable.
    """

    image: str
    kind: OutcomeKind
    saved_as: str
    split: str = ""
    label: str | None = None
    boxes: tuple[FoundBox, ...] = ()
    problem: str = ""
    image_sha256: str = ""
    annotation_sha256: str = ""
    written_sha256: str = ""


@dataclass(frozen=True)
class ClassCount:
    """The boxes that the model drew of one class, and the images that have them."""

    boxes: int
    images: int
    mean_score: float


@dataclass(frozen=True)
class ScoreBin:
    """How many boxes have a score of `from_score` or more, but below the next bin's; the last bin includes 1."""

    from_score: float
    boxes: int


@dataclass(frozen=True)
class AutolabelReport(Record):
    """autolabel.json.

    `coverage` is the share of the images without annotations in which a box was found. `review`, `nothing_found` and
    `problems` name images of the input.
    """

    schema_version: int
    model: str
    settings: Mapping[str, str]
    images: Mapping[str, int]
    boxes: int
    coverage: float
    per_class: Mapping[str, ClassCount]
    scores: tuple[ScoreBin, ...]
    review: tuple[str, ...]
    nothing_found: tuple[str, ...]
    problems: tuple[str, ...]
