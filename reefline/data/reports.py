"""What ingestion and validation leave for the rest of the run to read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from reefline.data.image_record import ImageRecord
from reefline.findings import Finding


@dataclass(frozen=True)
class SplitCounts:
    """How much a split holds; `per_class` maps every class of the label map to its boxes, 0 included."""

    images: int
    boxes: int
    per_class: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """Return the counts as summary.json shows them."""
        return {"images": self.images, "boxes": self.boxes, "per_class": dict(self.per_class)}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> SplitCounts:
        """Read back what `to_json` wrote."""
        return cls(images=record["images"], boxes=record["boxes"], per_class=dict(record["per_class"]))


@dataclass(frozen=True)
class Anomaly:
    """One anomaly that ExampleValidator found in a split."""

    split: str
    feature: str
    description: str

    def to_json(self) -> dict[str, Any]:
        """Return the anomaly as summary.json shows it."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Anomaly:
        """Read back what `to_json` wrote."""
        return cls(**record)


@dataclass(frozen=True)
class IngestionReport:
    """What was found, what became of it, and every finding on the way, in the order of files.

    `duplicate_groups` lists images of equal content, each group in the order of names.
    """

    splits: Mapping[str, SplitCounts]
    findings: tuple[Finding, ...]
    label_map_names: tuple[str, ...]
    images_found: int
    images_rejected: int
    boxes_found: int
    boxes_rejected: int
    max_boxes_per_image: int
    duplicate_groups: tuple[tuple[str, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """Return what report.json holds."""
        return {
            "splits": {name: counts.to_json() for name, counts in self.splits.items()},
            "findings": [finding.to_json() for finding in self.findings],
            "label_map_names": list(self.label_map_names),
            "images_found": self.images_found,
            "images_rejected": self.images_rejected,
            "boxes_found": self.boxes_found,
            "boxes_rejected": self.boxes_rejected,
            "max_boxes_per_image": self.max_boxes_per_image,
            "duplicate_groups": [list(group) for group in self.duplicate_groups],
        }

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> IngestionReport:
        """Read back what `to_json` wrote."""
        values = dict(record)
        return cls(
            splits={name: SplitCounts.from_json(counts) for name, counts in values.pop("splits").items()},
            findings=tuple(map(Finding.from_json, values.pop("findings"))),
            label_map_names=tuple(values.pop("label_map_names")),
            duplicate_groups=tuple(map(tuple, values.pop("duplicate_groups"))),
            **values,
        )


@dataclass(frozen=True)
class ValidationReport:
    """All findings that are not switched off, ingestion's included, and ExampleValidator's anomalies."""

    findings: tuple[Finding, ...]
    anomalies: tuple[Anomaly, ...]

    def to_json(self) -> dict[str, Any]:
        """Return what validation.json holds."""
        return {
            "findings": [finding.to_json() for finding in self.findings],
            "anomalies": [anomaly.to_json() for anomaly in self.anomalies],
        }

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> ValidationReport:
        """Read back what `to_json` wrote."""
        return cls(
            findings=tuple(map(Finding.from_json, record["findings"])),
            anomalies=tuple(map(Anomaly.from_json, record["anomalies"])),
        )


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
