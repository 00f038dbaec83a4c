"""Labelling a folder of images with a model: from images to a VOC data set for a person to check."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reefline.curation.data_folder import DataFolder, FolderImage, read_data_folder
from reefline.curation.output_folder import claim_output_folder, copy_file, explain_write_errors, write_file
from reefline.data.walking import IGNORE_FILE
from reefline.errors import DataError
from reefline.findings import Finding
from reefline.formats.voc import format_voc_annotation
from reefline.images.codec import ImageProblemError, decode_upright
from reefline.labelling.box_source import BoxSource
from reefline.labelling.choosing import LabelRules, choose_objects
from reefline.labelling.journal import Journal
from reefline.labelling.opening import open_box_source
from reefline.labelling.placement import IMAGES, REVIEW, annotation_of, format_split_lists, is_in_review, name_images
from reefline.labelling.records import AutolabelReport, AutolabelRequest, FoundBox, ImageOutcome, OutcomeKind
from reefline.labelling.report import REPORT_FILE, make_page, summarize
from reefline.labelling.rules import check_scores, describe_settings, label_of, make_rules
from reefline.labelling.tiles import detect_in_tiles
from reefline.structures.annotation import AnnotatedObject, Annotation
from reefline.structures.image_origin import copy_origins
from reefline.system.files import show_path
from reefline.system.terminal import ProgressBar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PAGE_FILE = "autolabel.html"
# LabelImg's list of classes to choose from.
CLASSES_FILE = "classes.txt"
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
    folder = read_data_folder(request.data)
    source = open_box_source(request.model, request.label_map)
    rules = make_rules(request, source, folder)
    settings = describe_settings(request, source)
    claim_output_folder(request.out, COMMAND, inputs=[request.data], mode=request.mode)
    with explain_write_errors(request.out):
        journal = Journal(request.out, settings)
        _Run(request, folder, source, rules, journal).label_all()
        report = summarize(source.name, settings, folder, journal.outcomes)
        _write_results(request, folder, report, journal.outcomes)
    return report


@dataclass(frozen=True)
class _Run:
    """What every image needs."""

    request: AutolabelRequest
    folder: DataFolder
    source: BoxSource
    rules: LabelRules
    journal: Journal

    def label_all(self) -> None:
        """Label the images that are not in the journal yet."""
        done = {outcome.image: Path(outcome.saved_as).name for outcome in self.journal.outcomes}
        names = name_images([image.image for image in self.folder.images], {k: v for k, v in done.items() if v})
        pending = [image for image in self.folder.images if image.image not in done]
        count = len(self.folder.images)
        with ProgressBar(plain_line_every_s=_PLAIN_LINE_EVERY_S, quiet=self.request.is_quiet) as bar:
            for finished, outcome in enumerate(self._label(pending, names), start=count - len(pending) + 1):
                self.journal.add(outcome)
                bar.show(finished, count, f"labelling: {finished} of {count} images", now=finished == count)

    def _label(self, images: Sequence[FolderImage], names: dict[str, str]) -> Iterator[ImageOutcome]:
        size = self.source.batch_size
        for start in range(0, len(images), size):
            batch: list[tuple[FolderImage, npt.NDArray[np.uint8]]] = []
            for image in images[start : start + size]:
                problem = _find_annotation_problem(self.folder, image)
                if problem is not None:
                    yield self._keep(image, names[image.image], problem)
                    continue
                try:
                    batch.append((image, self._decode(image)))
                except (OSError, ImageProblemError) as error:
                    reason = (isinstance(error, OSError) and error.strerror) or str(error)
                    yield ImageOutcome(image.image, OutcomeKind.UNUSABLE, "", problem=reason)
            for (image, pixels), objects in zip(batch, self._choose(batch), strict=True):
                yield self._save(image, names[image.image], (pixels.shape[1], pixels.shape[0]), objects)

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
        copy_file(self.folder.root / str(image.xml), self.request.out / annotation_of(saved_as))
        return ImageOutcome(image.image, OutcomeKind.KEPT, saved_as, image.split, problem=problem)

    def _save(
        self, image: FolderImage, name: str, size_px: tuple[int, int], objects: tuple[AnnotatedObject, ...]
    ) -> ImageOutcome:
        kind = _judge(objects, self.request.review_below)
        saved_as = f"{REVIEW}/{IMAGES}/{name}" if is_in_review(kind) else f"{IMAGES}/{name}"
        if is_in_review(kind):
            # First, so that a run that stops here leaves no image in doubt among the others.
            write_file(self.request.out / REVIEW / IGNORE_FILE, b"")
        copy_file(self.folder.path_of(image), self.request.out / saved_as)
        if objects:
            # An annotation without objects would claim that the image shows nothing.
            xml = format_voc_annotation(Annotation(name, *size_px, objects, verified=False))
            write_file(self.request.out / annotation_of(saved_as), xml)
        boxes = tuple(FoundBox(item.label, item.score or 0.0, item.box_xyxy_px) for item in objects)
        return ImageOutcome(image.image, kind, saved_as, image.split, label_of(self.request, image), boxes)


def _find_annotation_problem(folder: DataFolder, image: FolderImage) -> str | None:
    """Return None where boxes are to be drawn; otherwise why the annotation cannot be read, "" if it can.

    An annotation counts as a person's unless a model made it.
    """
    annotation = folder.read_annotation(image)
    if annotation is None or (isinstance(annotation, Annotation) and is_machine_made(annotation)):
        return None
    return f"{annotation.file}: {annotation.message}" if isinstance(annotation, Finding) else ""


def is_machine_made(annotation: Annotation) -> bool:
    """Return whether autolabel wrote an annotation, and nobody has changed it since.

    verified="no" alone is not enough: other tools write it for whatever a person has not marked as verified.
    """
    has_scores = all(item.score is not None for item in annotation.objects)
    return annotation.verified is False and bool(annotation.objects) and has_scores


def _judge(objects: Sequence[AnnotatedObject], review_below: float) -> OutcomeKind:
    if not objects:
        return OutcomeKind.NOTHING_FOUND
    is_sure = all((item.score or 0.0) >= review_below for item in objects)
    return OutcomeKind.LABELLED if is_sure else OutcomeKind.REVIEW


def _write_results(
    request: AutolabelRequest, folder: DataFolder, report: AutolabelReport, outcomes: Sequence[ImageOutcome]
) -> None:
    for path, content in format_split_lists(outcomes).items():
        write_file(request.out / path, content)
    copy_origins(folder.root, request.out, {each.image: each.saved_as for each in outcomes if each.saved_as})
    labels = {*report.per_class, *filter(None, (label_of(request, image) for image in folder.images))}
    write_file(request.out / CLASSES_FILE, "".join(f"{label}\n" for label in sorted(labels)).encode())
    report.write(request.out / REPORT_FILE)
    write_file(request.out / PAGE_FILE, make_page(show_path(request.data.name), report, outcomes, folder).encode())
    if all(outcome.kind is OutcomeKind.UNUSABLE for outcome in outcomes):
        raise DataError(f"{request.data}: no image can be read; see {request.out / REPORT_FILE}")
