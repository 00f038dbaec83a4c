"""From images as people have them to a VOC data set of RGB JPEGs, with splits and a label map."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from reefline.curation.chosen_images import choose_inspected
from reefline.curation.data_folder import LABEL_MAP_FILE, DataFolder, FolderKind, read_data_folder
from reefline.curation.inspected_images import InspectedImage, LeftOutImage, WriteJob, inspect_source, write_image
from reefline.curation.output_folder import (
    IsOwn,
    OutputMode,
    check_output_folder,
    claim_output_folder,
    explain_write_errors,
    hold_output_folder,
    write_file,
)
from reefline.curation.output_names import choose_folders, choose_stems
from reefline.curation.parallel import map_in_processes
from reefline.curation.prepare_report import REPORT_FILE, UNDIVIDED, LabelCounts, PrepareOptions, PrepareReport
from reefline.curation.prepare_warnings import Prepared, find_warnings
from reefline.curation.prepared_files import PreparedFiles, WrittenFile
from reefline.curation.tfrecords import FOLDER as TFRECORDS_FOLDER
from reefline.curation.tfrecords import PreparedImage, remove_tfrecords, write_tfrecords
from reefline.data.image_record import LIST_NAMES, TEST, TRAIN
from reefline.data.inspection import ImageLimits
from reefline.data.planning import sort_findings
from reefline.errors import DataError, UsageError
from reefline.findings import Finding
from reefline.settings import IngestionSettings
from reefline.structures.image_origin import ORIGINS_FILE, copy_origins
from reefline.structures.label_map import LabelMap, replace_control_characters

COMMAND = "prepare"
_LISTS_FOLDER = "ImageSets/Main"

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
        UsageError: the output overlaps the input, exists or is in use, or TFRecords are asked for without annotations.
    """
    with hold_output_folder(request.out, inputs=[request.folder]):
        return _prepare(request, on_progress)


def _prepare(request: PrepareRequest, on_progress: Progress) -> PrepareReport:
    folder = _name_labels(read_data_folder(request.folder))
    if request.options.tfrecords and folder.kind is not FolderKind.ANNOTATED:
        raise UsageError(
            f"--tfrecords needs boxes, and {request.folder} holds {folder.kind.value}: annotate them first"
        )
    inputs = [request.folder]
    check_output_folder(request.out, COMMAND, inputs=inputs, mode=request.mode, is_own=_recognize_own(request.out))
    inspected, left_out = _inspect(folder, request, on_progress)
    if not inspected:
        raise DataError(*(f"{each.image}: {each.findings[-1].message}" for each in left_out[:10]), "no image is usable")
    chosen, warnings = choose_inspected(inspected, request.options)
    # Now that the input is known to be usable: --overwrite deletes.
    claim_output_folder(request.out, COMMAND, inputs=inputs, mode=request.mode, is_own=_recognize_own(request.out))
    with explain_write_errors(request.out), PreparedFiles(request.out) as files:
        planned, unchanged, undecodable = _write_images(_name(chosen, files), files, request, on_progress)
        planned = [_read_kept(each, files, request.out) for each in planned]
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


def _recognize_own(out: Path) -> IsOwn:
    """Return what tells the files that an earlier call wrote, and that nobody changed since."""
    files = PreparedFiles(out)
    lists = (f"{_LISTS_FOLDER}/{name}.txt" for name in (*LIST_NAMES.values(), UNDIVIDED))
    derived = {REPORT_FILE, LABEL_MAP_FILE, ORIGINS_FILE, *lists}
    return lambda name: name.as_posix() in derived or name.parts[0] == TFRECORDS_FOLDER or files.wrote(name)


def _name_labels(folder: DataFolder) -> DataFolder:
    """Return the folder with labels that every file system accepts as folders, and a warning for each new one."""
    names = choose_folders(image.label for image in folder.images if image.label is not None)
    images = tuple(
        image if image.label is None else replace(image, label=names[image.label]) for image in folder.images
    )
    renamed = sorted((old, new) for old, new in names.items() if unicodedata.normalize("NFC", old) != new)
    warnings = (f"label {old!r} becomes {new!r}: not every file system accepts the name" for old, new in renamed)
    return replace(folder, images=images, warnings=(*folder.warnings, *warnings))


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
    else:
        remove_tfrecords(request.out)
    files.save()
    return removed


def _inspect(
    folder: DataFolder, request: PrepareRequest, on_progress: Progress
) -> tuple[list[InspectedImage], list[LeftOutImage]]:
    options = request.options
    limits = ImageLimits(IngestionSettings().max_image_pixels, min_dimension=options.min_dimension)
    # Ingestion leaves the others out, too.
    listed = [image for image in folder.images if image.is_listed]
    inspect = partial(
        inspect_source,
        folder.root,
        limits=limits,
        with_look=options.eval_fraction is not None or len({image.split for image in listed}) > 1,
    )
    inspected, left_out = [], []
    for done, result in enumerate(map_in_processes(inspect, listed, workers=request.workers), start=1):
        if isinstance(result, InspectedImage):
            inspected.append(result)
        else:
            left_out.append(result)
        on_progress("checked", done, len(listed))
    return inspected, left_out


def _name(chosen: Sequence[InspectedImage], files: PreparedFiles) -> list[_PlannedImage]:
    images = [each.source.image for each in chosen]
    stems = choose_stems(images, files.earlier_stems(images))
    return [
        _PlannedImage(
            inspected=each,
            # Folders that may be labels stay, for `reefline autolabel`.
            name="/".join(("JPEGImages", *filter(None, [each.source.label]), f"{stem}.jpg")),
            xml_name=None if each.objects is None else f"Annotations/{stem}.xml",
            list_name=LIST_NAMES.get(each.source.split, UNDIVIDED),
        )
        for each, stem in zip(chosen, stems, strict=True)
    ]


def _write_images(
    planned: Sequence[_PlannedImage], files: PreparedFiles, request: PrepareRequest, on_progress: Progress
) -> tuple[list[_PlannedImage], int, list[LeftOutImage]]:
    """Write the images that changed, and return what is in the output now, how many were there, and what failed."""
    jobs = [WriteJob(each.inspected.record, each.name) for each in planned]
    to_write = [job for job in jobs if not files.is_current(job.name, job.key)]
    for job in to_write:
        # A file that nobody noted would count as someone's own.
        files.note(WrittenFile(job.name, "", 0, job.record.image))
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


def _read_kept(planned: _PlannedImage, files: PreparedFiles, out: Path) -> _PlannedImage:
    """Return the image with the boxes that someone drew or corrected in the output, if someone did."""
    xml = files.edited_annotation(planned.name)
    if xml is None:
        return planned
    source = replace(planned.inspected.source, image=planned.name, xml=xml)
    limits = ImageLimits(IngestionSettings().max_image_pixels)
    kept = inspect_source(out, source, limits=limits, with_look=False)
    if isinstance(kept, LeftOutImage):
        inspected = replace(planned.inspected, objects=None, labels=frozenset())
    else:
        inspected = replace(planned.inspected, record=kept.record, objects=kept.objects, labels=kept.labels)
    return replace(planned, inspected=inspected)


def _write_lists(out: Path, planned: Sequence[_PlannedImage]) -> None:
    """Write a list per split, and trainval.txt with all but the test images, and remove those of an earlier call."""
    lists: dict[str, list[str]] = {}
    for each in planned:
        names = {each.list_name} if each.list_name == LIST_NAMES[TEST] else {each.list_name, UNDIVIDED}
        for name in names:
            lists.setdefault(name, []).append(each.stem)
    for name in (*LIST_NAMES.values(), UNDIVIDED):
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
        (out / LABEL_MAP_FILE).unlink(missing_ok=True)
        return None
    label_map = LabelMap(tuple(sorted(names)))
    write_label_map(out / LABEL_MAP_FILE, label_map)
    return label_map


def _write_tfrecords(request: PrepareRequest, planned: Sequence[_PlannedImage], label_map: LabelMap) -> None:
    splits: dict[str, list[PreparedImage]] = {}
    for each in planned:
        if each.inspected.objects is not None:
            split = LIST_NAMES[TRAIN] if each.list_name == UNDIVIDED else each.list_name
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
