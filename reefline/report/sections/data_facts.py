"""The facts of the data section: counts, and findings by rule. No picture, no chart."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reefline.data.image_record import ImageRecord
from reefline.data.reports import IngestionReport
from reefline.data.rules.meanings import explain_rule
from reefline.findings import Action, Finding, Severity

MAX_LISTED = 100
_MAX_CLASSES = 15
_MAX_COLLAPSED_CLASSES = 300
_MAX_LICENSES = 12
_ACTION_WORDS = {
    Action.DROPPED_BOX: "box dropped",
    Action.DROPPED_IMAGE: "image left out",
    Action.FIXED: "fixed",
    Action.KEPT: "kept",
}
_SEVERITY_ORDER = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.OFF: 2}


@dataclass(frozen=True)
class SplitFacts:
    """The size of a split; `empty` counts its images without a box."""

    name: str
    images: int
    boxes: int
    empty: int

    @property
    def boxes_per_image(self) -> float:
        """The mean number of boxes; 0 in a split without images."""
        return self.boxes / self.images if self.images else 0.0


@dataclass(frozen=True)
class ClassFacts:
    """The boxes of a class in each split, in the splits' order, and its share of each split's boxes, 0..1."""

    name: str
    boxes: tuple[int, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True)
class ClassTable:
    """The classes with the most boxes, the rest of them, and how many are not listed at all."""

    shown: tuple[ClassFacts, ...]
    collapsed: tuple[ClassFacts, ...]
    left_out: int


@dataclass(frozen=True)
class LicenseList:
    """The licenses of most images with their numbers, and how many images are under others."""

    shown: tuple[tuple[str, int], ...]
    others: int


@dataclass(frozen=True)
class FindingLine:
    """A finding as listed."""

    where: str
    message: str
    action: str


@dataclass(frozen=True)
class FindingGroup:
    """All findings of a rule: `listed` is at most MAX_LISTED of them, `files` counts the files they name."""

    rule: str
    meaning: str
    severity: Severity
    findings: tuple[Finding, ...]
    actions: tuple[tuple[str, int], ...]
    files: int
    listed: tuple[FindingLine, ...]

    @property
    def left_out(self) -> int:
        """How many findings are not listed."""
        return len(self.findings) - len(self.listed)


def count_images(report: IngestionReport, records: Iterable[ImageRecord]) -> tuple[SplitFacts, ...]:
    """Return the size of each split."""
    empty = Counter(record.split for record in records if not record.objects)
    return tuple(SplitFacts(name, counts.images, counts.boxes, empty[name]) for name, counts in report.splits.items())


def count_classes(report: IngestionReport) -> ClassTable:
    """Return the boxes per class, those with the most training boxes first."""
    splits = tuple(report.splits.values())
    rows = [
        ClassFacts(
            name,
            counts := tuple(split.per_class.get(name, 0) for split in splits),
            tuple(count / split.boxes if split.boxes else 0.0 for count, split in zip(counts, splits, strict=True)),
        )
        for name in report.label_map_names
    ]
    rows.sort(key=lambda row: (tuple(-count for count in row.boxes), row.name))
    # A handful more is shorter than a fold.
    shown = rows if len(rows) <= _MAX_CLASSES + 3 else rows[:_MAX_CLASSES]
    collapsed = rows[len(shown) : len(shown) + _MAX_COLLAPSED_CLASSES]
    return ClassTable(tuple(shown), tuple(collapsed), len(rows) - len(shown) - len(collapsed))


def list_licenses(report: IngestionReport) -> LicenseList | None:
    """Return the images under each license, None if the data set does not tell where its images come from."""
    counts = tuple(report.licenses.items())
    if not counts:
        return None
    return LicenseList(counts[:_MAX_LICENSES], sum(count for _, count in counts[_MAX_LICENSES:]))


def group_findings(findings: Iterable[Finding], severities: Mapping[str, Severity]) -> tuple[FindingGroup, ...]:
    """Return the findings by rule: errors first, then the rules with the most findings."""
    by_rule: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_rule[finding.rule].append(finding)
    groups = [
        FindingGroup(
            rule=rule,
            meaning=explain_rule(rule),
            severity=severities.get(rule, Severity.WARNING),
            findings=tuple(found),
            actions=tuple(Counter(_ACTION_WORDS[finding.action] for finding in found).items()),
            files=len({finding.file for finding in found if finding.file}),
            listed=tuple(_list_finding(finding) for finding in found[:MAX_LISTED]),
        )
        for rule, found in by_rule.items()
    ]
    return tuple(sorted(groups, key=lambda group: (_SEVERITY_ORDER[group.severity], -len(group.findings), group.rule)))


def _list_finding(finding: Finding) -> FindingLine:
    where = finding.file or "the data set"
    if finding.object is not None:
        where += f", object {finding.object}"
    return FindingLine(where, finding.message, _ACTION_WORDS[finding.action])
