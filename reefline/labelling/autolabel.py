"""Labelling a folder of images with a model: from images to a VOC data set for a person to check."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from reefline.curation.data_folder import DataFolder, FolderImage, read_data_folder
from reefline.curation.output_folder import (
    OutputMode,
    claim_output_folder,
    copy_file,
    explain_write_errors,
    hold_output_folder,
    write_file,
)
from reefline.data.walking import IGNORE_FILE
from reefline.errors import DataError
from reefline.findings import Finding
from reefline.formats.voc import format_voc_annotation
from reefline.images.codec import ImageProblemError, decode_upright
from reefline.labelling.box_source import BoxSource
from reefline.labelling.choosing import LabelRules, choose_objects
from reefline.labelling.class_list import write_class_list
from reefline.labelling.earlier_run import (
    InputChanges,
    InputHashes,
    check_nothing_lost,
    find_input_changes,
    hash_inputs,
    is_machine_made,
    remove_outcome_files,
)
from reefline.labelling.journal import Journal
from reefline.labelling.opening import open_box_source
from reefline.labelling.placement import IMAGES, REVIEW, annotation_of, format_split_lists, is_in_review, name_images
from reefline.labelling.records import AutolabelReport, AutolabelRequest, FoundBox, ImageOutcome, OutcomeKind
from reefline.labelling.report import REPORT_FILE, make_page, summarize
from reefline.labelling.rules import check_scores, describe_settings, label_of, make_rules
from reefline.labelling.tiles import detect_in_tiles
from reefline.structures.annotation import AnnotatedObject, Annotation
from reefline.structures.image_origin import copy_origins
from reefline.system.files import hash_file, show_path
from reefline.system.terminal import ProgressBar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PAGE_FILE = "autolabel.html"
COMMAND = "autolabel"
_PLAIN_LINE_EVERY_S = 10.0


def autolabel(request: AutolabelRequest) -> AutolabelReport:
    """Label the images of a folder and write a VOC data set, autolabel.json and autolabel.html.

    Each image is finished before the next, so that a run that stops anywhere can be resumed. The input is only read.

    Raises:
        UsageError, ConfigError: an option is wrong, or does not fit the folder or the model.
        DataError: the folder holds no images, or the output cannot be written.
        BundleError, DownloadError, StorageError: the model cannot be loaded.
    """
    check_scores(request)
    with hold_output_folder(request.out, inputs=[request.data]):
        return _autolabel(request)


def _autolabel(request: AutolabelRequest) -> AutolabelReport:
    folder = read_data_folder(request.data)
    declared = folder.read_label_map()
    source = open_box_source(request.model, request.label_map)
    rules = make_rules(request, source, folder)
    settings = describe_settings(request, source)
    if request.mode is OutputMode.OVERWRITE:
        check_nothing_lost(request.out, COMMAND)
    claim_output_folder(request.out, COMMAND, inputs=[request.data], mode=request.mode)
    with explain_write_errors(request.out):
        journal = Journal(request.out, settings)
        changes = find_input_changes(request.out, folder, journal.outcomes)
        _Run(request, folder, source, rules, journal).label_all(changes)
        outcomes = _update_splits(journal.outcomes, folder)
        report = summarize(source.name, settings, folder, outcomes, changes.kept)
        _write_results(request, folder, report, outcomes, declared)
    return report


@dataclass(frozen=True)
class _Run:
    """What every image needs."""

    request: AutolabelRequest
    folder: DataFolder
    source: BoxSource
    rules: LabelRules
    journal: Journal

    def label_all(self, changes: InputChanges) -> None:
        """Label the images that are new or changed, and remove those that are gone from the input."""
        for outcome in changes.gone:
            remove_outcome_files(self.request.out, outcome)
        self.journal.forget(outcome.image for outcome in changes.gone)
        done = {outcome.image: Path(outcome.saved_as).name for outcome in self.journal.outcomes}
        names = name_images([image.image for image in self.folder.images], {k: v for k, v in done.items() if v})
        pending = [each for each in self.folder.images if each.image not in done or each.image in changes.outdated]
        count = len(self.folder.images)
        with ProgressBar(plain_line_every_s=_PLAIN_LINE_EVERY_S, quiet=self.request.is_quiet) as bar:
            for finished, outcome in enumerate(self._label(pending, names), start=count - len(pending) + 1):
                before = self.journal.find(outcome.image)
                if before is not None:
                    remove_outcome_files(self.request.out, before, replaced_by=outcome)
                self.journal.add(outcome)
                bar.show(finished, count, f"labelling: {finished} of {count} images", now=finished == count)

    def _label(self, images: Sequence[FolderImage], names: dict[str, str]) -> Iterator[ImageOutcome]:
        size = self.source.batch_size
        for start in range(0, len(images), size):
            batch: list[tuple[FolderImage, npt.NDArray[np.uint8]]] = []
            # Before the images are read: what changes meanwhile is labelled again by --resume.
            hashes = {image.image: hash_inputs(self.folder, image) for image in images[start : start + size]}
            for image in images[start : start + size]:
                problem = _find_annotation_problem(self.folder, image)
                if problem is not None:
                    yield _note(self._keep(image, names[image.image], problem), hashes)
                    continue
                try:
                    batch.append((image, self._decode(image)))
                except (OSError, ImageProblemError) as error:
                    reason = (isinstance(error, OSError) and error.strerror) or str(error)
                    yield _note(ImageOutcome(image.image, OutcomeKind.UNUSABLE, "", problem=reason), hashes)
            for (image, pixels), objects in zip(batch, self._choose(batch), strict=True):
                size_px = (pixels.shape[1], pixels.shape[0])
                yield _note(self._save(image, names[image.image], size_px, objects), hashes)

    def _decode(self, image: FolderImage) -> npt.NDArray[np.uint8]:
        import numpy as np

        return np.asarray(decode_upright(self.folder.path_of(image).read_bytes()))

    def _choose(
        self, batch: Sequence[tuple[FolderImage, npt.NDArray[np.uint8]]]
    ) -> Iterator[tuple[AnnotatedObject, ...]]:
        tiling = self.request.tiling
        pixels = [each for _, each in batch]
        if tiling is None:
            found = self.source.detect_all(pixels)
        else:
            found = [detect_in_tiles(self.source, each, tiling, self.rules.min_score_of) for each in pixels]
        for (image, each), detections in zip(batch, found, strict=True):
            label = label_of(self.request, image)
            yield choose_objects(self.rules, detections, (each.shape[1], each.shape[0]), label)

    def _keep(self, image: FolderImage, name: str, problem: str) -> ImageOutcome:
        """Copy an annotated image and its XML, byte for byte."""
        saved_as = f"{IMAGES}/{name}"
        copy_file(self.folder.path_of(image), self.request.out / saved_as)
        xml = self.request.out / annotation_of(saved_as)
        copy_file(self.folder.root / str(image.xml), xml)
        return ImageOutcome(
            image.image, OutcomeKind.KEPT, saved_as, image.split, problem=problem, written_sha256=hash_file(xml)
        )

    def _save(
        self, image: FolderImage, name: str, size_px: tuple[int, int], objects: tuple[AnnotatedObject, ...]
    ) -> ImageOutcome:
        kind = _judge(objects, self.request.review_below)
        saved_as = f"{REVIEW}/{IMAGES}/{name}" if is_in_review(kind) else f"{IMAGES}/{name}"
        if is_in_review(kind):
            # First, so that a run that stops here leaves no image in doubt among the others.
            write_file(self.request.out / REVIEW / IGNORE_FILE, b"")
        copy_file(self.folder.path_of(image), self.request.out / saved_as)
        written_sha256 = ""
        if objects:
            # An annotation without objects would claim that the image shows nothing.
            xml = format_voc_annotation(Annotation(name, *size_px, objects, verified=False))
            write_file(self.request.out / annotation_of(saved_as), xml)
            written_sha256 = hashlib.sha256(xml).hexdigest()
        boxes = tuple(FoundBox(item.label, item.score or 0.0, item.box_xyxy_px) for item in objects)
        label = label_of(self.request, image)
        return ImageOutcome(image.image, kind, saved_as, image.split, label, boxes, written_sha256=written_sha256)


def _note(outcome: ImageOutcome, hashes: Mapping[str, InputHashes]) -> ImageOutcome:
    """Return the outcome with the hashes of what it was made from."""
    image, annotation = hashes[outcome.image]
    return replace(outcome, image_sha256=image, annotation_sha256=annotation)


def _find_annotation_problem(folder: DataFolder, image: FolderImage) -> str | None:
    """Return None where boxes are to be drawn; otherwise why the annotation cannot be read, "" if it can.

    An annotation counts as a person's unless a model made it.
    """
    annotation = folder.read_annotation(image)
    if annotation is None or (isinstance(annotation, Annotation) and is_machine_made(annotation)):
        return None
    return f"{annotation.file}: {annotation.message}" if isinstance(annotation, Finding) else ""


def _judge(objects: Sequence[AnnotatedObject], review_below: float) -> OutcomeKind:
    if not objects:
        return OutcomeKind.NOTHING_FOUND
    is_sure = all((item.score or 0.0) >= review_below for item in objects)
    return OutcomeKind.LABELLED if is_sure else OutcomeKind.REVIEW


def _update_splits(outcomes: Sequence[ImageOutcome], folder: DataFolder) -> tuple[ImageOutcome, ...]:
    """Return the outcomes with the splits that the input has now."""
    splits = {image.image: image.split for image in folder.images}
    return tuple(replace(outcome, split=splits.get(outcome.image, outcome.split)) for outcome in outcomes)


def _write_results(
    request: AutolabelRequest,
    folder: DataFolder,
    report: AutolabelReport,
    outcomes: Sequence[ImageOutcome],
    declared: Sequence[str],
) -> None:
    for path, content in format_split_lists(outcomes).items():
        if content:
            write_file(request.out / path, content)
        else:
            (request.out / path).unlink(missing_ok=True)
    copy_origins(folder.root, request.out, {each.image: each.saved_as for each in outcomes if each.saved_as})
    labels = {*report.per_class, *filter(None, (label_of(request, image) for image in folder.images))}
    write_class_list(request.out, folder, declared, labels)
    report.write(request.out / REPORT_FILE)
    write_file(request.out / PAGE_FILE, make_page(show_path(request.data.name), report, outcomes, folder).encode())
    if all(outcome.kind is OutcomeKind.UNUSABLE for outcome in outcomes):
        raise DataError(f"{request.data}: no image can be read; see {request.out / REPORT_FILE}")
