"""`prepare.json`: what `reefline prepare` read, wrote and left out."""

from __future__ import annotations

from dataclasses import dataclass

from reefline.findings import Finding
from reefline.system.record import Record

REPORT_FILE = "prepare.json"
# The list of images without a split, which ingestion divides.
UNDIVIDED = "trainval"


@dataclass(frozen=True)
class LabelCounts(Record):
    """How many images and boxes of the output have a label; `boxes` is 0 where folders give the labels."""

    images: int
    boxes: int


@dataclass(frozen=True)
class PrepareOptions(Record):
    """The options that decide what is written."""

    min_dimension: int | None = None
    max_per_label: int | None = None
    equal_counts: bool = False
    eval_fraction: float | None = None
    seed: int = 0
    tfrecords: bool = False
    shards: int = 1


@dataclass(frozen=True)
class PrepareReport(Record):
    """The result of a call.

    `images_found` are all of the input, `images` those in the output, of which `unchanged` were there before; `splits`
    counts them by list of ImageSets. `findings` are on the input, `warnings` on the output.
    """

    kind: str
    options: PrepareOptions
    images_found: int
    images: int
    unchanged: int
    removed: int
    splits: dict[str, int]
    labels: dict[str, LabelCounts]
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...]
