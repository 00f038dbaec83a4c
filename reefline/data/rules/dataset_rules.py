"""The rules on the complete data set: a function each, which yields what it found; `table` lists them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from reefline.data.image_record import ImageRecord
from reefline.data.reports import IngestionReport
from reefline.formats.voc import describe_voc_box
from reefline.structures.label_map import fold_name

if TYPE_CHECKING:
    from reefline.settings import ValidationSettings


@dataclass(frozen=True)
class DatasetContext:
    """What the rules look at: every ingested image without its pixels, ingestion's report, and the thresholds."""

    records: tuple[ImageRecord, ...]
    report: IngestionReport
    settings: ValidationSettings


class Observation(NamedTuple):
    """What a rule found, and where: as a finding's `file`, `object` and `message`."""

    file: str
    object_index: int | None
    message: str


def check_box_tiny(context: DatasetContext) -> Iterator[Observation]:
    """Rule box_tiny: a side shorter than `min_box_px` in the image as ingested."""
    limit_px = context.settings.min_box_px
    for record in context.records:
        for item in record.objects:
            # Without properties and calls: there may be millions of boxes.
            x_min, y_min, x_max, y_max = item.box_xyxy_px
            width_px, height_px = x_max - x_min, y_max - y_min
            side_px = width_px if width_px < height_px else height_px
            if side_px < limit_px:
                where = describe_voc_box(item.box_xyxy_px)
                message = f"a side of {side_px:g} px is less than {limit_px:g} ({where}): is it a stray click?"
                yield Observation(record.xml, item.object_index, message)


def check_label_outside_label_map(context: DatasetContext) -> Iterator[Observation]:
    """Rule label_outside_label_map: an ingested label that the label map lacks."""
    names = frozenset(context.report.label_map_names)
    for record in context.records:
        for item in record.objects:
            if item.label not in names:
                message = f"the label {item.label!r} is not in the label map: ingest the data again"
                yield Observation(record.xml, item.object_index, message)


def check_classes_alike(context: DatasetContext) -> Iterator[Observation]:
    """Rule classes_alike: class names that differ only in letter case, in invisible characters or in their encoding."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in context.report.label_map_names:
        alike[fold_name(name)].append(name)
    for names in alike.values():
        if len(names) > 1:
            spelled = ", ".join(f"{name!a}" for name in names)
            yield Observation("", None, f"the classes {spelled} look alike: if they are one class, spell them alike")


def check_class_absent(context: DatasetContext) -> Iterator[Observation]:
    """Rule class_absent: a class of the label map without a box in a split."""
    for split, counts in context.report.splits.items():
        for name in context.report.label_map_names:
            if counts.images and not counts.per_class.get(name):
                message = f"the {split} split has no {name!r}, so its AP there is unknown: add images that show one"
                yield Observation("", None, message)


def check_class_imbalance(context: DatasetContext) -> Iterator[Observation]:
    """Rule class_imbalance: a class with `max_class_imbalance` times fewer training boxes than the largest."""
    per_class = context.report.splits["train"].per_class
    if not any(per_class.values()):
        return
    largest = max(per_class, key=lambda name: per_class[name])
    for name, count in per_class.items():
        if count and per_class[largest] > count * context.settings.max_class_imbalance:
            message = (
                f"{name!r} has {count} training boxes, {largest!r} has {per_class[largest]}, more than "
                f"{context.settings.max_class_imbalance:g} times as many: add images of {name!r}"
            )
            yield Observation("", None, message)


def check_duplicate_across_splits(context: DatasetContext) -> Iterator[Observation]:
    """Rule duplicate_across_splits: files of equal content in several splits; evaluation would score trained images."""
    for group in _duplicate_groups(context):
        splits = sorted({record.split for record in group})
        if len(splits) > 1:
            others = ", ".join(f"{record.image} ({record.split})" for record in group[1:])
            message = f"this image ({group[0].split}) is identical to {others}: keep all copies in one split"
            yield Observation(group[0].image, None, message)


def check_duplicate_in_split(context: DatasetContext) -> Iterator[Observation]:
    """Rule duplicate_in_split: files of equal content in one split, which count several times."""
    for group in _duplicate_groups(context):
        if len({record.split for record in group}) == 1:
            others = ", ".join(record.image for record in group[1:])
            message = f"this image has identical copies in the {group[0].split} split: {others}; delete the copies"
            yield Observation(group[0].image, None, message)


def check_near_duplicate_across_splits(context: DatasetContext) -> Iterator[Observation]:
    """Rule near_duplicate_across_splits: perceptual hashes in two splits that differ in few bits.

    Up to `near_duplicate_bits` of 64 may differ. Exact duplicates have their own rule.
    """
    by_split = defaultdict(list)
    for record in context.records:
        by_split[record.split].append(record)
    splits = sorted(by_split)
    for position, first in enumerate(splits):
        for second in splits[position + 1 :]:
            yield from _near_pairs(by_split[first], by_split[second], context.settings.near_duplicate_bits)


def name_look_alike(other: ImageRecord) -> str:
    """Return the words of a near_duplicate_across_splits finding that name the other image of the pair."""
    return f"looks like {other.image} ({other.split}),"


def _near_pairs(first: list[ImageRecord], second: list[ImageRecord], max_bits: int) -> Iterator[Observation]:
    # Imports NumPy and Pillow, while the config imports the rules only for their names.
    from reefline.images.perceptual_hash import find_near_pairs

    hashes = [[record.perceptual_hash for record in records] for records in (first, second)]
    for index, other_index, bits in find_near_pairs(*hashes, max_bits=max_bits):
        one, other = first[index], second[other_index]
        if one.sha256 != other.sha256:
            message = (
                f"this image ({one.split}) {name_look_alike(other)} their perceptual hashes differ in "
                f"{bits} of 64 bits: keep such pairs in one split"
            )
            yield Observation(one.image, None, message)


def _duplicate_groups(context: DatasetContext) -> Iterator[list[ImageRecord]]:
    counts = Counter(record.sha256 for record in context.records)
    groups: dict[str, list[ImageRecord]] = defaultdict(list)
    for record in sorted(context.records, key=lambda record: record.image):
        if counts[record.sha256] > 1:
            groups[record.sha256].append(record)
    yield from groups.values()
