"""What ingestion and validation leave for the rest of the run to read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reefline.data.image_record import ImageRecord
from reefline.data.span_report import SpanReport
from reefline.errors import DataError, UserError
from reefline.findings import Finding
from reefline.system.record import Record


@dataclass(frozen=True)
class SplitCounts(Record):
    """The size of a split; `per_class` maps every class of the label map to its number of boxes, 0 included."""

    images: int
    boxes: int
    per_class: Mapping[str, int]


@dataclass(frozen=True)
class Anomaly(Record):
    """One anomaly that ExampleValidator found in a split; `feature` is "" where it concerns the split itself."""

    split: str
    feature: str
    description: str


@dataclass(frozen=True)
class IngestionReport(Record):
    """What was ingested, and every finding on the way, in the order of files.

    `licenses` counts the images under each license, "unknown" among them; it is empty if no image has an origin.
    """

    splits: Mapping[str, SplitCounts]
    findings: tuple[Finding, ...]
    label_map_names: tuple[str, ...]
    max_boxes_per_image: int
    licenses: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class PicturedBox(Record):
    """The box of a finding as annotated: x_min, y_min, x_max, y_max; `object` is the finding's."""

    object: int
    label: str
    box_xyxy_px: tuple[float, float, float, float]


@dataclass(frozen=True)
class PicturedFile(Record):
    """A file that findings name, the image whose thumbnail shows it, and the size in px that its boxes refer to."""

    file: str
    image: str
    width_px: int
    height_px: int
    boxes: tuple[PicturedBox, ...] = ()


@dataclass(frozen=True)
class FindingPictures(Record):
    """What ingestion kept for pictures of findings; most findings have none."""

    files: tuple[PicturedFile, ...] = ()


@dataclass(frozen=True)
class IngestionFailure(Record):
    """Why the data could not be ingested: an error that leaves a worker as a file."""

    problems: tuple[str, ...]
    findings: tuple[Finding, ...]

    @classmethod
    def from_error(cls, error: UserError) -> IngestionFailure:
        """Return the failure that an error describes."""
        return cls(error.problems, error.findings if isinstance(error, DataError) else ())

    def to_error(self) -> DataError:
        """Return the error again, of whatever kind it was as a DataError."""
        return DataError(*self.problems, findings=self.findings)


@dataclass(frozen=True)
class ValidationReport(Record):
    """All findings whose rule is not off, ingestion's included, ExampleValidator's anomalies, and how spans differ.

    `spans` is None for data of one span or none.
    """

    findings: tuple[Finding, ...]
    anomalies: tuple[Anomaly, ...]
    spans: SpanReport | None = None


def count_splits(
    records: Iterable[ImageRecord], splits: Iterable[str], class_names: Iterable[str]
) -> dict[str, SplitCounts]:
    """Return the counts of every split in `splits`, with a 0 for each class that a split lacks."""
    images = dict.fromkeys(splits, 0)
    per_class = {split: dict.fromkeys(class_names, 0) for split in images}
    for record in records:
        images[record.split] += 1
        for item in record.objects:
            per_class[record.split][item.label] += 1
    return {
        split: SplitCounts(images=count, boxes=sum(per_class[split].values()), per_class=per_class[split])
        for split, count in images.items()
    }
