"""Pictures for the review page: thumbnails of images that findings name, and the boxes to draw on them.

They only illustrate: a picture that cannot be made is left out, and never ends a run.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import posixpath
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from reefline.data.annotation_file import read_annotation
from reefline.data.data_parts import DataSet
from reefline.data.image_record import ImageRecord
from reefline.data.reports import FindingPictures, IngestionReport, PicturedBox, PicturedFile
from reefline.data.rules.dataset_rules import DatasetContext, name_look_alike
from reefline.data.rules.table import DATASET_RULES
from reefline.errors import StorageError
from reefline.findings import Finding
from reefline.images.codec import IMAGE_SUFFIXES, ImageProblemError, decode_small
from reefline.images.thumbnails import MAX_SIDE_PX, ThumbnailWriter
from reefline.settings import ValidationSettings
from reefline.structures.artifacts import IngestionFolder

MAX_FILES_PER_RULE = 12
MAX_THUMBNAILS = 120
MAX_BOXES_PER_FILE = 40


def write_finding_pictures(
    data: DataSet,
    folder: IngestionFolder,
    report: IngestionReport,
    records: Sequence[ImageRecord],
    *,
    max_image_pixels: int,
) -> None:
    """Write thumbnails.zip and pictures.json for a choice of findings: up to 12 files per rule and 120 images.

    The findings are the report's and those of the data-set rules with default thresholds. Where the images cannot be
    fetched or the files cannot be written, neither is left.
    """
    image_of = {record.xml: record.image for record in records}
    files = choose_files([*report.findings, *_find_in_data_set(report, records)], records, image_of)
    turned = {record.image: record.apply_exif for record in records}
    pictured: list[PicturedFile] = []
    part = data.part({*files, *(image_of.get(file, file) for file in files)})
    try:
        with part.provide() as data_dir, ThumbnailWriter(folder.thumbnails) as thumbnails:
            # The size of each image tried so far; None where it cannot be decoded.
            sizes_px: dict[str, tuple[int, int] | None] = {}
            for file, objects in files.items():
                image = image_of.get(file, file)
                if image not in sizes_px:
                    if len(sizes_px) == MAX_THUMBNAILS:
                        continue
                    apply_exif = turned.get(image, True)
                    sizes_px[image] = _add_thumbnail(thumbnails, data_dir, image, apply_exif, max_image_pixels)
                if size_px := sizes_px[image]:
                    boxes = _read_boxes(data_dir, file, objects) if objects else ()
                    pictured.append(PicturedFile(file, image, *size_px, boxes))
        FindingPictures(tuple(pictured)).write(folder.pictures)
    # ValueError: a file name that is not Unicode.
    except (OSError, ValueError, zipfile.LargeZipFile, StorageError) as error:
        logging.getLogger(__name__).warning("no pictures of findings: %s", error)
        for path in (folder.thumbnails, folder.pictures):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def choose_files(
    findings: Iterable[Finding], records: Sequence[ImageRecord], image_of: Mapping[str, str]
) -> dict[str, list[int]]:
    """Return the files to picture, each with the objects whose boxes to draw: the rules take turns, file by file.

    `image_of` maps an ingested XML to its image. The partners of duplicates across splits are among the files.
    """
    by_rule: dict[str, dict[str, list[int]]] = defaultdict(dict)
    for finding in findings:
        files = by_rule[finding.rule]
        if finding.file not in files:
            if len(files) >= MAX_FILES_PER_RULE or not _may_be_pictured(finding.file, image_of):
                continue
            files.update({name: [] for name in (finding.file, *_partner_names(finding, records))})
        if finding.object is not None and len(files[finding.file]) < MAX_BOXES_PER_FILE:
            files[finding.file].append(finding.object)
    chosen: dict[str, list[int]] = {}
    for turn in itertools.zip_longest(*(files.items() for files in by_rule.values())):
        for file, objects in filter(None, turn):
            chosen[file] = sorted({*chosen.get(file, ()), *objects})
    return chosen


def find_partners(finding: Finding, records: Sequence[ImageRecord]) -> tuple[ImageRecord, ...]:
    """Return the images in other splits that the finding of a rule on duplicates compares its own with."""
    if finding.rule == "near_duplicate_across_splits":
        # The first test is four times as fast as making the words for every record.
        return tuple(
            record
            for record in records
            if record.image in finding.message and name_look_alike(record) in finding.message
        )
    if finding.rule == "duplicate_across_splits":
        own = [record for record in records if record.image == finding.file]
        return tuple(
            record for record in records if own and record.sha256 == own[0].sha256 and record.split != own[0].split
        )
    return ()


def _partner_names(finding: Finding, records: Sequence[ImageRecord]) -> list[str]:
    return [record.image for record in find_partners(finding, records)]


def _may_be_pictured(file: str, image_of: Mapping[str, str]) -> bool:
    return file in image_of or posixpath.splitext(file)[1].lower() in IMAGE_SUFFIXES


def _find_in_data_set(report: IngestionReport, records: Sequence[ImageRecord]) -> Iterator[Finding]:
    """Yield what the data-set rules would find first: validation comes later, when the images may be gone."""
    context = DatasetContext(tuple(records), report, ValidationSettings())
    for rule in DATASET_RULES:
        yield from itertools.islice(rule.find(context), MAX_FILES_PER_RULE)


def _add_thumbnail(
    thumbnails: ThumbnailWriter, data_dir: Path, image: str, apply_exif: bool, max_image_pixels: int
) -> tuple[int, int] | None:
    """Add the thumbnail of an image and return the image's full size; None where it cannot be read."""
    path = data_dir / image
    # A finding may name a FIFO or a device, and opening one may wait forever.
    if not path.is_file():
        return None
    try:
        image_bytes = path.read_bytes()
    except OSError:
        return None
    try:
        small, size_px = decode_small(
            image_bytes, apply_exif=apply_exif, max_image_pixels=max_image_pixels, side_px=MAX_SIDE_PX
        )
    except ImageProblemError:
        return None
    thumbnails.add(image, small)
    return size_px


def _read_boxes(data_dir: Path, xml: str, objects: Iterable[int]) -> tuple[PicturedBox, ...]:
    annotation = read_annotation(data_dir, xml)
    if isinstance(annotation, Finding):
        return ()
    boxes = []
    for index in objects:
        item = annotation.objects[index] if index < len(annotation.objects) else None
        if item is not None and item.box_xyxy_px.is_finite:
            x_min, y_min, x_max, y_max = item.box_xyxy_px
            boxes.append(PicturedBox(index, item.label, (x_min, y_min, x_max, y_max)))
    return tuple(boxes)
