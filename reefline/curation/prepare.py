"""From images as people have them to a VOC data set of RGB JPEGs, with splits and a label map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from reefline.curation.choosing import Choosable, choose_eval_images, choose_images
from reefline.curation.data_folder import DataFolder, FolderKind, read_data_folder
from reefline.curation.inspected_images import InspectedImage, LeftOutImage, WriteJob, inspect_source, write_image
from reefline.curation.look_alike_groups import group_look_alikes
from reefline.curation.output_folder import OutputMode, claim_output_folder, explain_write_errors, write_file
from reefline.curation.output_names import choose_stems
from reefline.curation.parallel import map_in_processes
from reefline.curation.prepare_report import REPORT_FILE, LabelCounts, PrepareOptions, PrepareReport
from reefline.curation.prepare_warnings import Prepared, find_warnings
from reefline.curation.prepared_files import PreparedFiles, WrittenFile
from reefline.curation.tfrecords import PreparedImage, write_tfrecords
from reefline.data.image_record import EVAL, TEST, TRAIN
from reefline.data.inspection import ImageLimits
from reefline.data.planning import sort_findings
from reefline.errors import DataError, UsageError
from reefline.findings import Finding
from reefline.settings import IngestionSettings
from reefline.structures.image_origin import copy_origins
from reefline.structures.label_map import LabelMap, replace_control_characters

COMMAND = "prepare"
_LISTS_FOLDER = "ImageSets/Main"
# The lists that the splits are written to. Images without a split are divided by ingestion.
_LIST_OF_SPLIT = {TRAIN: "train", EVAL: "val", TEST: "test"}
_UNDIVIDED = "trainval"
_LABEL_MAP_FILE = "label_map.pbtxt"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class PrepareRequest:
    """What to prepare, where, and how."""

    folder: Path
    out: Path
    options: PrepareOptions = field(default_factory=PrepareOptions)
    mode: OutputMode = OutputMode.NEW
    workers: int = 1


@dataclass(frozen=True)
class _PlannedImage:
    """An image to write: its names in the output folder, and its list; `xml_name` None: it has no annotation."""

    inspected: InspectedImage
    name: str
    xml_name: str | None
    list_name: str

    @property
    def stem(self) -> str:
        return Path(self.name).stem


def prepare(request: PrepareRequest, on_progress: Progress) -> PrepareReport:
    """Write the data set and return what was done; the input is only read.

    `on_progress` gets a verb, and how many of how many images are done.

    Raises:
        DataError: the input holds no usable images, or the output cannot be written.
        UsageError: the output overlaps the input or exists, or TFRecords are asked for without annotations.
    """
    folder = read_data_folder(request.folder)
    if request.options.tfrecords and folder.kind is not FolderKind.ANNOTATED:
        raise UsageError(
            f"--tfrecords needs boxes, and {request.folder} holds {folder.kind.value}: annotate them first"
        )
    claim_output_folder(request.out, COMMAND, inputs=[request.folder], mode=request.mode)
    inspected, left_out = _inspect(folder, request, on_progress)
    if not inspected:
        raise DataError(*(f"{each.image}: {each.findings[-1].message}" for each in left_out[:10]), "no image is usable")
    chosen, warnings = _choose(inspected, request.options)
    with explain_write_errors(request.out), PreparedFiles(request.out) as files:
        planned, unchanged, undecodable = _write_images(_name(chosen), files, request, on_progress)
        removed = _write_around_images(folder, planned, files, request)
        warnings += find_warnings(
            folder,
            [Prepared(each.list_name, each.inspected.objects is not None, each.inspected.labels) for each in planned],
            edited=files.edited,
            eval_fraction=request.options.eval_fraction,
        )
        report = PrepareReport(
            kind=folder.kind.value,
            options=request.options,
            images_found=len(folder.images),
            images=len(planned),
            unchanged=unchanged,
            removed=removed,
            splits=dict(sorted(Counter(each.list_name for each in planned).items())),
            labels=_count_labels(planned),
            findings=_sort_findings(folder.findings, inspected, (*left_out, *undecodable)),
            warnings=tuple(warnings),
        )
        report.write(request.out / REPORT_FILE)
    return report


def _write_around_images(
    folder: DataFolder, planned: Sequence[_PlannedImage], files: PreparedFiles, request: PrepareRequest
) -> int:
    """Write annotations, lists, origins, label map and TFRecords, and return how many old images were removed."""
    for each in planned:
        if each.xml_name is not None:
            files.write_annotation(each.xml_name, each.inspected.format_xml(Path(each.name).name))
    removed = files.remove_others({name for each in planned for name in (each.name, each.xml_name) if name is not None})
    _write_lists(request.out, planned)
    copy_origins(folder.root, request.out, {each.inspected.source.image: each.name for each in planned})
    label_map = _write_label_map(request.out, planned)
    if request.options.tfrecords and label_map is not None:
        _write_tfrecords(request, planned, label_map)
    files.save()
    return removed


def _inspect(
    folder: DataFolder, request: PrepareRequest, on_progress: Progress
) -> tuple[list[InspectedImage], list[LeftOutImage]]:
    options = request.options
    limits = ImageLimits(IngestionSettings().max_image_pixels, min_dimension=options.min_dimension)
    inspect = partial(
        inspect_source,
        folder.root,
        limits=limits,
        with_look=options.eval_fraction is not None,
    )
    # Ingestion leaves them out, too.
    listed = [image for image in folder.images if image.is_listed]
    inspected, left_out = [], []
    for done, result in enumerate(map_in_processes(inspect, listed, workers=request.workers), start=1):
        if isinstance(result, InspectedImage):
            inspected.append(result)
        else:
            left_out.append(result)
        on_progress("checked", done, len(listed))
    return inspected, left_out


def _choose(inspected: Sequence[InspectedImage], options: PrepareOptions) -> tuple[list[InspectedImage], list[str]]:
    """Return the images to write, with the splits that they get, and warnings."""
    groups: Sequence[int] = range(len(inspected))
    if options.eval_fraction is not None:
        groups = group_look_alikes(
            [each.record.sha256 for each in inspected],
            [each.record.perceptual_hash for each in inspected],
            [each.look for each in inspected],
        )
    by_name = {each.source.image: each for each in inspected}
    choosable = choose_images(
        [
            Choosable(each.source.image, each.record.sha256, each.labels, group)
            for each, group in zip(inspected, groups, strict=True)
        ],
        max_per_label=options.max_per_label,
        equal_counts=options.equal_counts,
        seed=options.seed,
    )
    if options.eval_fraction is None:
        return [by_name[each.name] for each in choosable], []
    # Images for the last test stay unseen.
    free = [each for each in choosable if by_name[each.name].source.split != TEST]
    chosen_eval = choose_eval_images(free, eval_fraction=options.eval_fraction, seed=options.seed)
    free_names = {each.name for each in free}
    chosen = []
    for each in choosable:
        image = by_name[each.name]
        if each.name in free_names:
            split = EVAL if each.name in chosen_eval else TRAIN
            image = replace(image, source=replace(image.source, split=split))
        chosen.append(image)
    test_groups = {each.group for each in choosable if each.name not in free_names}
    alike = sum(each.group in test_groups for each in free)
    warning = f"{alike} images for training or evaluation look like test images: run `reefline dedupe` first"
    return chosen, [warning] if alike else []


def _name(chosen: Sequence[InspectedImage]) -> list[_PlannedImage]:
    stems = choose_stems([each.source.image for each in chosen])
    return [
        _PlannedImage(
            inspected=each,
            # Folders that may be labels stay, for `reefline autolabel`.
            name="/".join(("JPEGImages", *filter(None, [each.source.label]), f"{stem}.jpg")),
            xml_name=None if each.objects is None else f"Annotations/{stem}.xml",
            list_name=_LIST_OF_SPLIT.get(each.source.split, _UNDIVIDED),
        )
        for each, stem in zip(chosen, stems, strict=True)
    ]


def _write_images(
    planned: Sequence[_PlannedImage], files: PreparedFiles, request: PrepareRequest, on_progress: Progress
) -> tuple[list[_PlannedImage], int, list[LeftOutImage]]:
    """Write the images that changed, and return what is in the output now, how many were there, and what failed."""
    jobs = [WriteJob(each.inspected.record, each.name) for each in planned]
    to_write = [job for job in jobs if not files.is_current(job.name, job.key)]
    failed = []
    results = map_in_processes(partial(write_image, request.folder, request.out), to_write, workers=request.workers)
    for done, result in enumerate(results, start=1):
        if isinstance(result, WrittenFile):
            files.note(result)
        else:
            failed.append(result)
        on_progress("written", done, len(to_write))
    names = {each.image for each in failed}
    kept = [each for each in planned if each.inspected.source.image not in names]
    return kept, len(jobs) - len(to_write), failed


def _write_lists(out: Path, planned: Sequence[_PlannedImage]) -> None:
    """Write a list per split, and trainval.txt with all but the test images, and remove those of an earlier call."""
    lists: dict[str, list[str]] = {}
    for each in planned:
        names = {each.list_name} if each.list_name == _LIST_OF_SPLIT[TEST] else {each.list_name, _UNDIVIDED}
        for name in names:
            lists.setdefault(name, []).append(each.stem)
    for name in (*_LIST_OF_SPLIT.values(), _UNDIVIDED):
        path = out / _LISTS_FOLDER / f"{name}.txt"
        if name in lists:
            write_file(path, "".join(f"{stem}\n" for stem in sorted(lists[name])).encode())
        else:
            path.unlink(missing_ok=True)


def _write_label_map(out: Path, planned: Sequence[_PlannedImage]) -> LabelMap | None:
    """Write the label map of all labels, sorted as in ingestion; None without labels."""
    from reefline.od_api.label_map_file import write_label_map

    names = {replace_control_characters(label) for each in planned for label in each.inspected.labels}
    if not names:
        (out / _LABEL_MAP_FILE).unlink(missing_ok=True)
        return None
    label_map = LabelMap(tuple(sorted(names)))
    write_label_map(out / _LABEL_MAP_FILE, label_map)
    return label_map


def _write_tfrecords(request: PrepareRequest, planned: Sequence[_PlannedImage], label_map: LabelMap) -> None:
    splits: dict[str, list[PreparedImage]] = {}
    for each in planned:
        if each.inspected.objects is not None:
            split = _LIST_OF_SPLIT[TRAIN] if each.list_name == _UNDIVIDED else each.list_name
            record = each.inspected.record
            image = PreparedImage(each.name, record.width_px, record.height_px, each.inspected.objects)
            splits.setdefault(split, []).append(image)
    write_tfrecords(request.out, splits, label_map, shards=request.options.shards)


def _count_labels(planned: Sequence[_PlannedImage]) -> dict[str, LabelCounts]:
    images = Counter(label for each in planned for label in each.inspected.labels)
    boxes = Counter(item.label for each in planned for item in each.inspected.objects or ())
    return {label: LabelCounts(images[label], boxes[label]) for label in sorted(images)}


def _sort_findings(
    found: Iterable[Finding], inspected: Iterable[InspectedImage], left_out: Iterable[LeftOutImage]
) -> tuple[Finding, ...]:
    of_images = [finding for image in inspected for finding in image.findings]
    of_left_out = [finding for image in left_out for finding in image.findings]
    return sort_findings((*found, *of_images, *of_left_out))
