"""Between the passes: the label map, the splits, the check on how much was rejected, and the shards to write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from reefline.data.image_record import EVAL, SPLITS, TEST, TRAIN, ImageRecord
from reefline.data.inspection import Inspection
from reefline.data.reports import IngestionReport, count_splits
from reefline.data.rules.severity import describe_finding
from reefline.data.shards import Shard
from reefline.data.splitting import assign_splits
from reefline.errors import DataError
from reefline.findings import Action, Finding
from reefline.settings import IngestionSettings
from reefline.structures.image_origin import ImageOrigin, count_licenses
from reefline.structures.label_map import LabelMap

_LISTED_PROBLEMS = 50


@dataclass
class _Tally:
    """The sum of the inspections."""

    records: list[ImageRecord] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    images_found: int = 0
    boxes_found: int = 0


@dataclass(frozen=True)
class IngestionPlan:
    """Everything the second pass needs, and the report on the first."""

    label_map: LabelMap
    shards: tuple[Shard, ...]
    report: IngestionReport

    @property
    def records(self) -> tuple[ImageRecord, ...]:
        """The records of all shards."""
        return tuple(record for shard in self.shards for record in shard.records)


def plan_ingestion(
    inspections: Iterable[Inspection],
    settings: IngestionSettings,
    given_label_map: LabelMap | None,
    *,
    matching_findings: Sequence[Finding],
    names_splits: bool,
    origins: Mapping[str, ImageOrigin] | None = None,
) -> IngestionPlan:
    """Decide what is written where; `matching_findings` are those on files that made no candidate.

    `origins` is where images come from, by their paths.

    Raises:
        DataError: too much was rejected, no box is left, or a split would be empty; it carries all findings.
    """
    tally = _add_up(matching_findings, inspections)
    findings = sort_findings(tally.findings)
    rejected_images = sum(finding.action is Action.DROPPED_IMAGE for finding in findings)
    rejected_boxes = sum(finding.action is Action.DROPPED_BOX for finding in findings)
    limit = settings.max_rejected_fraction
    _check_rejected("images", rejected_images, tally.images_found, limit, findings)
    _check_rejected("boxes", rejected_boxes, tally.boxes_found, limit, findings)
    names = sorted({item.label for record in tally.records for item in record.objects})
    if not names:
        raise DataError(
            "no box is left to train on: annotate objects, or fix what the findings name", findings=findings
        )
    label_map = given_label_map or LabelMap(tuple(names))
    records = assign_splits(
        tally.records,
        eval_fraction=settings.eval_fraction,
        test_fraction=settings.test_fraction,
    )
    _check_splits(records, names_splits, findings)
    splits = [split for split in SPLITS if split != TEST or any(record.split == TEST for record in records)]
    return IngestionPlan(
        label_map=label_map,
        shards=tuple(shard for split in splits for shard in _shard(records, split, settings.images_per_shard)),
        report=IngestionReport(
            splits=count_splits(records, splits, label_map.names),
            findings=findings,
            label_map_names=label_map.names,
            max_boxes_per_image=max(len(record.objects) for record in records),
            licenses=count_licenses(origins or {}, (record.image for record in records)),
        ),
    )


def sort_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings in the order of files; those on a file come before those on its objects."""
    return tuple(sorted(findings, key=lambda f: (f.file, -1 if f.object is None else f.object, f.rule, f.message)))


def _add_up(matching_findings: Sequence[Finding], inspections: Iterable[Inspection]) -> _Tally:
    tally = _Tally(findings=list(matching_findings))
    tally.images_found = sum(finding.action is Action.DROPPED_IMAGE for finding in matching_findings)
    for inspection in inspections:
        tally.images_found += 1
        tally.boxes_found += inspection.boxes_found
        tally.findings += inspection.findings
        if inspection.record is not None:
            tally.records.append(inspection.record)
    # Inspections may arrive in any order; the result must not depend on it.
    tally.records.sort(key=lambda record: (record.sha256, record.image))
    return tally


def _check_rejected(kind: str, rejected: int, found: int, limit: float, findings: Sequence[Finding]) -> None:
    if rejected <= limit * found:
        return
    action = Action.DROPPED_IMAGE if kind == "images" else Action.DROPPED_BOX
    problems = [describe_finding(finding) for finding in findings if finding.action is action]
    left_out = len(problems) - _LISTED_PROBLEMS
    raise DataError(
        f"{rejected} of {found} {kind} are rejected, more than data.max_rejected_fraction allows ({limit:g}): "
        "fix them, or raise the limit",
        *problems[:_LISTED_PROBLEMS],
        *([f"… and {left_out} more, listed in the run's summary.json"] if left_out > 0 else []),
        findings=findings,
    )


def _check_splits(records: Sequence[ImageRecord], names_splits: bool, findings: Sequence[Finding]) -> None:
    found = {record.split for record in records}
    if found >= {TRAIN, EVAL}:
        return
    distinct = len({record.sha256 for record in records})
    if distinct < 2:
        raise DataError(
            f"nothing to split: {distinct} usable image of distinct content found, but training and evaluation need "
            "one each: add images",
            findings=findings,
        )
    missing = TRAIN if TRAIN not in found else EVAL
    where = (
        "the lists of ImageSets or the split folders" if names_splits else "data.eval_fraction and data.test_fraction"
    )
    raise DataError(f"the {missing} split is empty: change {where}, or add images", findings=findings)


def _shard(records: Sequence[ImageRecord], split: str, images_per_shard: int) -> list[Shard]:
    """Cut a split into shards in the order of content hashes, which is stable and as good as shuffled."""
    chosen = [record for record in records if record.split == split]
    count = max(1, -(-len(chosen) // images_per_shard))
    starts = [len(chosen) * index // count for index in range(count + 1)]
    return [Shard(split, index, count, tuple(chosen[starts[index] : starts[index + 1]])) for index in range(count)]
