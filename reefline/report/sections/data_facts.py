"""The facts of the data section: counts, findings by rule, and anomalies in everyday words. No picture, no chart."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from reefline.data.image_record import ImageRecord
from reefline.data.reports import Anomaly, IngestionReport
from reefline.data.rules.meanings import explain_rule
from reefline.findings import Action, Finding, Severity

MAX_LISTED = 100
_MAX_CLASSES = 15
_MAX_COLLAPSED_CLASSES = 300
_ACTION_WORDS = {
    Action.DROPPED_BOX: "box dropped",
    Action.DROPPED_IMAGE: "image left out",
    Action.FIXED: "fixed",
    Action.KEPT: "kept",
}
_SEVERITY_ORDER = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.OFF: 2}
_FEATURES = {
    "image/encoded": "image data",
    "image/filename": "image file name",
    "image/format": "image format",
    "image/height": "image height",
    "image/key/sha256": "image checksum",
    "image/object/bbox/xmax": "right edge of the boxes",
    "image/object/bbox/xmin": "left edge of the boxes",
    "image/object/bbox/ymax": "bottom edge of the boxes",
    "image/object/bbox/ymin": "top edge of the boxes",
    "image/object/class/label": "class number",
    "image/object/class/text": "class name",
    "image/object/difficult": "mark “difficult”",
    "image/object/truncated": "mark “truncated”",
    "image/object/view": "pose",
    "image/source_id": "image id",
    "image/width": "image width",
}
# TensorFlow Data Validation's descriptions, and what each means; longer ones first.
_DESCRIPTIONS = (
    (
        r"The feature has a shape, but it's not always present \(if the feature is nested, then it should always be "
        r"present at each nested level\) or its value lengths vary\.",
        "some images have no value or several; exactly one was expected",
    ),
    (
        r"The feature was present in fewer examples than expected: minimum fraction = (\S+), actual = ([\d.]+)",
        "present in {1:.1%} of the images; {0:.0%} was expected",
    ),
    (r"Examples contain values missing from the schema: (.+?)\.(?=\s*$)", "unexpected values: {0}"),
    (r"Unexpectedly low values?: (\S+?)<([^\s(]+)\(upto six significant digits\)", "values down to {0}; {1} or more was expected"),
    (r"Unexpectedly high values?: (\S+?)>([^\s(]+)\(upto six significant digits\)", "values up to {0}; {1} or less was expected"),
    (r"Unexpectedly small values?: (\S+)\.(?=\s|$)", "values down to {0}, less than expected"),
    (r"Unexpectedly large values?: (\S+)\.(?=\s|$)", "values up to {0}, more than expected"),
    (r"Float feature has NaN values\.", "some values are not numbers"),
    (r"Float feature has Inf values\.", "some values are infinite"),
    (r"Column is completely missing", "missing from every image"),
    (r"New column \(column in data but not in schema\)", "present, but configs/schema.pbtxt does not list it"),
    (r"Expected data of type: (\w+) but got (\w+)", "values of type {1}; {0} was expected"),
)  # fmt: skip


@dataclass(frozen=True)
class SplitFacts:
    """The size of a split; `empty` counts its images without a box, None where that is unknown."""

    name: str
    images: int
    boxes: int
    empty: int | None

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


@dataclass(frozen=True)
class AnomalyFacts:
    """An anomaly in everyday words; `feature` keeps TensorFlow's name for a search."""

    split: str
    subject: str
    feature: str
    sentence: str


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


def explain_anomalies(anomalies: Sequence[Anomaly]) -> tuple[AnomalyFacts, ...]:
    """Return the anomalies in everyday words; what is not known keeps TensorFlow Data Validation's description."""
    return tuple(
        AnomalyFacts(
            anomaly.split,
            _FEATURES.get(anomaly.feature, anomaly.feature or "the split"),
            anomaly.feature,
            _explain(anomaly.description),
        )
        for anomaly in anomalies
    )


def _explain(description: str) -> str:
    rest, parts = description.strip(), []
    for pattern, words in _DESCRIPTIONS:
        match = re.search(pattern, rest)
        if match is not None:
            parts.append((match.start(), words.format(*map(_as_number, match.groups()))))
            # Blanks keep the places of what follows.
            rest = rest[: match.start()] + " " * len(match.group()) + rest[match.end() :]
    if rest.strip():
        parts.append((len(rest) - len(rest.lstrip()), rest.strip().rstrip(".")))
    text = "; ".join(words for _, words in sorted(parts))
    return f"{text[:1].upper()}{text[1:]}."


def _as_number(text: str) -> float | str:
    try:
        return float(text) if "." in text and text.replace(".", "").isdigit() else text
    except ValueError:
        return text
