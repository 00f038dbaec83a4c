"""Reviewing the labels of a data set with a model: what to look at first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from reefline.curation.data_folder import DataFolder, read_data_folder
from reefline.curation.output_folder import (
    OutputMode,
    claim_output_folder,
    explain_write_errors,
    hold_output_folder,
    write_file,
)
from reefline.data.image_record import ImageRecord
from reefline.data.inspection import ImageLimits, inspect_candidate
from reefline.data.matching import Candidate
from reefline.data.rules.severity import describe_finding
from reefline.errors import DataError, UsageError
from reefline.images.codec import ImageProblemError
from reefline.labelling.box_source import BoxSource
from reefline.labelling.class_list import write_class_list
from reefline.labelling.disagreement import Doubt, DoubtKind, find_doubts
from reefline.labelling.drawn_image import decode_as_drawn
from reefline.labelling.opening import open_box_source
from reefline.labelling.review_report import DEFAULT_PICTURES, format_table, make_page
from reefline.settings import IngestionSettings
from reefline.structures.annotation import Annotation
from reefline.system.files import show_path
from reefline.system.record import Record
from reefline.system.terminal import ProgressBar

COMMAND = "review-labels"
PAGE_FILE, TABLE_FILE, LIST_FILE = "review.html", "review.csv", "images.txt"
# Links to the images and annotations in doubt: what is saved there is saved in the data set.
LINKS = "to_review"
_PLAIN_LINE_EVERY_S = 10.0
_SHOWN_LINKS = 10


@dataclass(frozen=True)
class ReviewRequest:
    """Which data set to review with which model; `min_score` as in AutolabelRequest, `pictures` of review.html."""

    data: Path
    out: Path
    model: str
    label_map: str | None = None
    min_score: float | None = None
    pictures: int = DEFAULT_PICTURES
    mode: OutputMode = OutputMode.NEW
    is_quiet: bool = False


@dataclass(frozen=True)
class ImageDoubt:
    """A doubt, and the image that it is about; paths are relative to the data set.

    `apply_exif` is whether its boxes were drawn on the upright image.
    """

    image: str
    xml: str
    apply_exif: bool
    doubt: Doubt


@dataclass(frozen=True)
class LabelReview(Record):
    """The doubts about a data set, the most certain first, and what could not be reviewed.

    `images` and `boxes` count what was compared, `unknown_labels` the boxes of classes that the model does not know.
    """

    model: str
    images: int
    boxes: int
    doubts: tuple[ImageDoubt, ...]
    unknown_labels: dict[str, int]
    problems: tuple[str, ...]

    def count(self, kind: DoubtKind) -> int:
        """Return how many doubts are of a kind."""
        return sum(each.doubt.kind is kind for each in self.doubts)


def review_labels(request: ReviewRequest) -> LabelReview:
    """Compare the annotations of a data set with a model's detections; write a page, a table, and a folder of links.

    Raises:
        UsageError: an option is wrong, the model does not name its classes, or knows none of the data set's.
        DataError: the data set has no annotations, or the output cannot be written.
        BundleError, DownloadError, StorageError: the model cannot be loaded.
    """
    if request.min_score is not None and not 0 <= request.min_score <= 1:
        raise UsageError(f"--min-score {request.min_score}: expected a number from 0 to 1")
    with hold_output_folder(request.out, inputs=[request.data]):
        return _review(request)


def _review(request: ReviewRequest) -> LabelReview:
    folder = read_data_folder(request.data)
    if all(image.xml is None for image in folder.images):
        raise DataError(f"{request.data}: holds no annotations to review; label the images first (reefline autolabel)")
    declared = folder.read_label_map()
    source = open_box_source(request.model, request.label_map)
    if not source.class_names:
        raise UsageError(f"--model {request.model}: does not name its classes; pass --label-map FILE")
    _check_classes(request, folder, source)
    _check_links(request, folder)
    claim_output_folder(request.out, COMMAND, inputs=[request.data], mode=request.mode)
    review = _Comparing(request, folder, source).compare()
    with explain_write_errors(request.out):
        _write(request, folder, review, declared)
    return review


def _check_classes(request: ReviewRequest, folder: DataFolder, source: BoxSource) -> None:
    """Refuse a model that knows none of the classes, before anything is written."""
    annotations = map(folder.read_annotation, folder.images)
    labels = {item.label for each in annotations if isinstance(each, Annotation) for item in each.objects}
    if labels and labels.isdisjoint(source.class_names):
        raise UsageError(
            f"--model {request.model}: knows none of the data set's classes ({', '.join(sorted(labels))}); pass a "
            "model that was trained on them"
        )


def _check_links(request: ReviewRequest, folder: DataFolder) -> None:
    """Refuse to delete files that an editor saved in place of links: the data set does not have what is in them.

    Raises:
        DataError: an earlier run's folder of links holds some.
    """
    targets = _name_links((image.image, str(image.xml)) for image in folder.images if image.xml is not None)
    problems = []
    for path in sorted((request.out / LINKS).rglob("*")):
        if path.is_file() and not path.is_symlink():
            original = targets.get(path.relative_to(request.out).as_posix())
            where = "elsewhere" if original is None else f"to {show_path(folder.root / original)}"
            problems.append(f"{show_path(path)}: an editor saved it in place of a link; move it {where}, then retry")
    if problems:
        raise DataError(*problems[:_SHOWN_LINKS])


class _Comparing:
    """Compares image by image."""

    def __init__(self, request: ReviewRequest, folder: DataFolder, source: BoxSource) -> None:
        self._request, self._folder, self._source = request, folder, source
        self._min_scores = [
            source.min_score_of(label) if request.min_score is None else request.min_score for label in source.labels
        ]
        self._limits = ImageLimits(IngestionSettings().max_image_pixels)
        self._doubts: list[ImageDoubt] = []
        self._problems = [describe_finding(finding) for finding in folder.findings]

    def compare(self) -> LabelReview:
        labels: Counter[str] = Counter()
        images = 0
        for record in self._inspect():
            try:
                found = self._doubt(record)
            except (OSError, ImageProblemError) as error:
                self._problems.append(f"{record.image}: {error}")
                continue
            images += 1
            labels.update(item.label for item in record.objects)
            self._doubts += (ImageDoubt(record.image, record.xml, record.apply_exif, doubt) for doubt in found)
        unknown = {label: count for label, count in sorted(labels.items()) if label not in self._source.class_names}
        ranked = sorted(self._doubts, key=lambda each: (-each.doubt.score, each.image))
        return LabelReview(self._source.name, images, labels.total(), tuple(ranked), unknown, tuple(self._problems))

    def _inspect(self) -> Iterator[ImageRecord]:
        annotated = [image for image in self._folder.images if image.xml is not None]
        with ProgressBar(plain_line_every_s=_PLAIN_LINE_EVERY_S, quiet=self._request.is_quiet) as bar:
            for number, image in enumerate(annotated, start=1):
                candidate = Candidate(image.image, str(image.xml), image.split)
                inspection = inspect_candidate(self._folder.root, candidate, self._limits, None)
                if inspection.record is not None:
                    yield inspection.record
                else:
                    self._problems += map(describe_finding, inspection.findings)
                count = len(annotated)
                bar.show(number, count, f"reviewing: {number} of {count} images", now=number == count)

    def _doubt(self, record: ImageRecord) -> list[Doubt]:
        import numpy as np

        image = decode_as_drawn(self._folder.root / record.image, apply_exif=record.apply_exif)
        detections = self._source.detect_all([np.asarray(image)])[0]
        return find_doubts(record.objects, detections, self._source.labels, self._min_scores)


def _write(request: ReviewRequest, folder: DataFolder, review: LabelReview, declared: Sequence[str]) -> None:
    images = list(dict.fromkeys((each.image, each.xml) for each in review.doubts))
    write_file(request.out / TABLE_FILE, format_table(review).encode())
    write_file(request.out / LIST_FILE, "".join(f"{image}\n" for image, _ in images).encode())
    write_class_list(request.out, folder, declared, {each.doubt.detected for each in review.doubts})
    write_file(
        request.out / PAGE_FILE, make_page(show_path(request.data.name), review, folder, request.pictures).encode()
    )
    for link, original in _name_links(images).items():
        _link(folder.root / original, request.out / link)


def _name_links(images: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the links to images and their annotations: what each is called in the output, and its file in the input.

    LabelImg finds an annotation next to its image, under the image's name.
    """
    links: dict[str, str] = {}
    for image, xml in images:
        place = PurePosixPath(LINKS, image)
        links[place.as_posix()] = image
        # Images that differ only in their suffix share an annotation's name; LabelImg could show one of them only.
        links.setdefault(place.with_name(f"{place.stem}.xml").as_posix(), xml)
    return links


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(source.resolve())
