"""A sample of a data set as real records: inspected, split and written as in a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reefline.data.image_record import EVAL, TEST, TRAIN, TRAIN_OR_EVAL, UNASSIGNED
from reefline.data.inspection import ImageLimits, Inspection, inspect_candidate
from reefline.data.layouts import list_data_files
from reefline.data.matching import Candidate, Discovery, discover
from reefline.data.planning import IngestionPlan, Shard, plan_ingestion
from reefline.data.rules.severity import describe_finding
from reefline.data.shards import write_shard
from reefline.errors import DataError
from reefline.findings import Action, Finding
from reefline.formats.voc import parse_voc_annotation
from reefline.od_api.label_map_file import read_label_map, write_label_map
from reefline.settings import IngestionSettings
from reefline.structures.artifacts import ExamplesFolder, LabelMapFolder
from reefline.structures.label_map import LabelMap, replace_control_characters
from reefline.verification.records import DataFacts, Problem
from reefline.verification.rules import check_rejected

SAMPLED_IMAGES = 64
# Enough to time an evaluation; with a large model on a small machine, each image takes a second.
TRIAL_EVAL_IMAGES = 4
_MIN_SAMPLED_EVAL_IMAGES = 16
_READ_ANNOTATIONS = 5000


@dataclass(frozen=True)
class DataSample:
    """The sample; `boxes_yxyx` are its boxes as fractions 0..1 of their image, as in the OD API.

    `image_sizes_px` are width and height of its images, `boxes_per_class` counts the boxes of all annotations that were
    read.
    """

    facts: DataFacts
    boxes_yxyx: tuple[tuple[float, float, float, float], ...]
    image_sizes_px: tuple[tuple[int, int], ...]
    boxes_per_class: Mapping[str, int]
    train_records: str
    eval_records: str
    eval_images: int
    label_map: Path
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class _Annotations:
    """What the annotations contain: boxes per class, and the highest number of boxes in one of them."""

    boxes: Mapping[str, int]
    max_boxes: int
    read: int


def take_sample(
    data_dir: Path,
    settings: IngestionSettings,
    directory: Path,
    *,
    images: int = SAMPLED_IMAGES,
    eval_images: int = TRIAL_EVAL_IMAGES,
    stop_as_run: bool = False,
) -> DataSample:
    """Write gzip TFRecords and a label map of images spread evenly over the data set into `directory`.

    Up to `images` are inspected; of these, at most SAMPLED_IMAGES of train and `eval_images` of eval are written. Too
    many rejected images are a problem of the sample, or with `stop_as_run` the error that stops a run.

    Raises:
        DataError: the folder or the sample cannot be ingested.
        ConfigError: the given label map cannot be read.
    """
    files = list_data_files(data_dir, image_dir=settings.image_dir, annotation_dir=settings.annotation_dir)
    given = read_label_map(settings.label_map) if settings.label_map is not None else None
    discovery = discover(data_dir, files, split_folders=settings.split_folders)
    annotations = _read_annotations(data_dir, discovery.candidates)
    chosen = choose_candidates(discovery.candidates, images)
    limits = ImageLimits(settings.max_image_pixels, settings.max_dimension)
    names = given.names if given else None
    inspections = [inspect_candidate(data_dir, candidate, limits, names) for candidate in chosen]
    label_map = given or _name_classes(annotations, inspections)
    is_everything = len(chosen) == len(discovery.candidates)
    if stop_as_run and is_everything:
        limits_of_run, matching_findings = settings, discovery.findings
    else:
        # What is rejected is reported as a problem below and must not end the verification.
        limits_of_run, matching_findings = settings.model_copy(update={"max_rejected_fraction": 1.0}), ()
    plan = plan_ingestion(
        inspections,
        limits_of_run,
        label_map,
        matching_findings=matching_findings,
        names_splits=discovery.names_splits,
    )
    _write(data_dir, plan, directory, eval_images)
    return DataSample(
        facts=_describe(discovery, plan, settings, annotations, is_everything=is_everything),
        boxes_yxyx=_collect_boxes(plan),
        image_sizes_px=tuple((record.width_px, record.height_px) for record in plan.records),
        boxes_per_class=annotations.boxes,
        train_records=str(ExamplesFolder(directory).split(TRAIN) / "*"),
        eval_records=str(ExamplesFolder(directory).split(EVAL) / "*"),
        eval_images=min(eval_images, sum(record.split == EVAL for record in plan.records)),
        label_map=LabelMapFolder(directory).label_map,
        problems=_judge_rejected(discovery, inspections, settings.max_rejected_fraction, is_everything=is_everything),
    )


def choose_candidates(candidates: Sequence[Candidate], count: int) -> tuple[Candidate, ...]:
    """Return up to `count` candidates, evenly spread; if lists name the splits, both splits are included."""
    if len(candidates) <= count:
        return tuple(candidates)
    listed_eval = [candidate for candidate in candidates if candidate.split == EVAL]
    others = [candidate for candidate in candidates if candidate.split in (TRAIN, UNASSIGNED, TRAIN_OR_EVAL)]
    chosen_eval = _spread(listed_eval, _MIN_SAMPLED_EVAL_IMAGES)
    return (*_spread(others, count - len(chosen_eval)), *chosen_eval)


def _spread(candidates: Sequence[Candidate], count: int) -> list[Candidate]:
    if len(candidates) <= count:
        return list(candidates)
    return [candidates[index * len(candidates) // count] for index in range(count)]


def _read_annotations(data_dir: Path, candidates: Sequence[Candidate]) -> _Annotations:
    """Read annotations without their images: the model also needs the classes that only a few images show."""
    boxes: Counter[str] = Counter()
    max_boxes = 0
    spread = _spread(candidates, _READ_ANNOTATIONS)
    for candidate in spread:
        try:
            objects = parse_voc_annotation((data_dir / candidate.xml).read_bytes()).objects
        except (DataError, OSError):  # reported by the inspection
            continue
        labels = (replace_control_characters(item.label) for item in objects)
        boxes.update(label for label in labels if label)
        max_boxes = max(max_boxes, len(objects))
    return _Annotations(dict(sorted(boxes.items())), max_boxes, len(spread))


def _name_classes(annotations: _Annotations, inspections: Sequence[Inspection]) -> LabelMap | None:
    records = [inspection.record for inspection in inspections if inspection.record is not None]
    names = {*annotations.boxes, *(item.label for record in records for item in record.objects)}
    return LabelMap(tuple(sorted(names))) if names else None


def _write(data_dir: Path, plan: IngestionPlan, directory: Path, eval_images: int) -> None:
    for split, limit in ((TRAIN, SAMPLED_IMAGES), (EVAL, eval_images)):
        records = tuple(record for record in plan.records if record.split == split)[:limit]
        write_shard(data_dir, ExamplesFolder(directory).split(split), Shard(split, 0, 1, records), plan.label_map)
    write_label_map(LabelMapFolder(directory).label_map, plan.label_map)


def _collect_boxes(plan: IngestionPlan) -> tuple[tuple[float, float, float, float], ...]:
    return tuple(
        (
            box.y_min / record.height_px,
            box.x_min / record.width_px,
            box.y_max / record.height_px,
            box.x_max / record.width_px,
        )
        for record in plan.records
        for box in (item.box_xyxy_px for item in record.objects)
    )


def _describe(
    discovery: Discovery,
    plan: IngestionPlan,
    settings: IngestionSettings,
    annotations: _Annotations,
    *,
    is_everything: bool,
) -> DataFacts:
    if is_everything:
        splits = plan.report.splits
        counts = {split: splits[split].images if split in splits else 0 for split in (TRAIN, EVAL, TEST)}
    else:
        counts = estimate_splits(discovery, settings)
    return DataFacts(
        train_images=counts[TRAIN],
        eval_images=counts[EVAL],
        test_images=counts[TEST],
        counts_are_exact=is_everything,
        classes=plan.label_map.names,
        read_annotations=annotations.read,
        max_boxes_per_image=max(annotations.max_boxes, plan.report.max_boxes_per_image),
        sampled_images=len(plan.records),
        sampled_boxes=sum(len(record.objects) for record in plan.records),
    )


def estimate_splits(discovery: Discovery, settings: IngestionSettings) -> dict[str, int]:
    """Return about how many images each split gets: from the lists, or by fraction if content hashes decide."""
    counts = {split: sum(c.split == split for c in discovery.candidates) for split in (TRAIN, EVAL, TEST)}
    free = len(discovery.candidates) - sum(counts.values())
    test = round(sum(c.split == UNASSIGNED for c in discovery.candidates) * settings.test_fraction)
    held_out = round(free * settings.eval_fraction)
    if free > 1 and counts[EVAL] + held_out == 0:
        held_out = 1  # splitting moves one there
    return {TRAIN: counts[TRAIN] + free - held_out - test, EVAL: counts[EVAL] + held_out, TEST: counts[TEST] + test}


def _judge_rejected(
    discovery: Discovery, inspections: Sequence[Inspection], limit: float, *, is_everything: bool
) -> tuple[Problem, ...]:
    unmatched = _describe_rejected(discovery.findings)
    rejected = _describe_rejected([finding for inspection in inspections for finding in inspection.findings])
    if is_everything:
        found = len(unmatched) + len(inspections)
        return check_rejected((*unmatched, *rejected), found, limit, is_everything=True)
    found = len(unmatched) + len(discovery.candidates)
    return check_rejected(unmatched, found, limit, is_everything=True) or check_rejected(
        rejected, len(inspections), limit, is_everything=False
    )


def _describe_rejected(findings: Sequence[Finding]) -> tuple[str, ...]:
    return tuple(describe_finding(finding) for finding in findings if finding.action is Action.DROPPED_IMAGE)
