"""What autolabel tells: counts, a histogram of scores, and a page of pictures."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from reefline.curation.data_folder import DataFolder, find_empty_label_folders
from reefline.data.rules.severity import describe_finding
from reefline.images.codec import ImageProblemError, decode_upright
from reefline.images.thumbnails import make_thumbnail
from reefline.labelling.records import (
    SCHEMA_VERSION,
    AutolabelReport,
    ClassCount,
    ImageOutcome,
    OutcomeKind,
    ScoreBin,
)
from reefline.report.gallery import BoxStyle, GalleryBox, GalleryGroup, GalleryPicture, GalleryTable, make_gallery_page

REPORT_FILE = "autolabel.json"
_BINS = 10
# A thumbnail has about 15 kB: the page stays below 4 MB.
_REVIEW_PICTURES, _NOTHING_PICTURES, _LABELLED_PICTURES = 60, 24, 90
_PICTURES_PER_CLASS = 12


def summarize(
    model: str,
    settings: Mapping[str, str],
    folder: DataFolder,
    outcomes: Sequence[ImageOutcome],
    kept: Sequence[str] = (),
) -> AutolabelReport:
    """Return the report on the images of a folder; `kept` is that of InputChanges."""
    kinds = Counter(outcome.kind for outcome in outcomes)
    boxes = [box for outcome in outcomes for box in outcome.boxes]
    new = [each for each in outcomes if each.kind not in (OutcomeKind.KEPT, OutcomeKind.UNUSABLE)]
    found = sum(bool(outcome.boxes) for outcome in new)
    bins = Counter(min(int(box.score * _BINS), _BINS - 1) for box in boxes)
    return AutolabelReport(
        schema_version=SCHEMA_VERSION,
        model=model,
        settings=dict(settings),
        images={kind.value: kinds[kind] for kind in OutcomeKind},
        boxes=len(boxes),
        coverage=round(found / len(new), 4) if new else 0.0,
        per_class=_count_classes(outcomes),
        scores=tuple(ScoreBin(number / _BINS, bins[number]) for number in range(_BINS)),
        review=tuple(each.image for each in _least_sure_first(outcomes)),
        nothing_found=tuple(each.image for each in outcomes if each.kind is OutcomeKind.NOTHING_FOUND),
        problems=(
            *(f"{outcome.image}: {outcome.problem}" for outcome in outcomes if outcome.problem),
            *kept,
            *map(describe_finding, folder.findings),
            *folder.warnings,
            *(f"{name}: holds no images" for name in find_empty_label_folders(folder)),
        ),
    )


def make_page(name: str, report: AutolabelReport, outcomes: Sequence[ImageOutcome], folder: DataFolder) -> str:
    """Return autolabel.html: `name` is that of the folder."""
    review = _least_sure_first(outcomes)
    nothing = [outcome for outcome in outcomes if outcome.kind is OutcomeKind.NOTHING_FOUND]
    groups = [
        _group("To review", review, _REVIEW_PICTURES, folder, "The least sure first. They are in the folder review/."),
        _group("Nothing found", nothing, _NOTHING_PICTURES, folder, "They are in review/, without annotations."),
    ]
    by_label: dict[str, list[ImageOutcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.kind is OutcomeKind.LABELLED:
            by_label[outcome.boxes[0].label].append(outcome)
    shown = max(1, min(_PICTURES_PER_CLASS, _LABELLED_PICTURES // max(1, len(by_label))))
    for label in sorted(by_label)[:_LABELLED_PICTURES]:
        groups.append(_group(f"Labelled: {label}", by_label[label], shown, folder))
    intro = f"{report.boxes} boxes by {report.model}. Check them before you train: they are a model's, not a person's."
    tables = _make_tables(report)
    return make_gallery_page(f"Labels of {name}", intro, [group for group in groups if group.pictures], tables=tables)


def _make_tables(report: AutolabelReport) -> tuple[GalleryTable, ...]:
    names = {
        OutcomeKind.LABELLED: "labelled",
        OutcomeKind.REVIEW: "labelled, to review",
        OutcomeKind.NOTHING_FOUND: "nothing found, to review",
        OutcomeKind.KEPT: "kept: annotated before",
        OutcomeKind.UNUSABLE: "not readable, left out",
    }
    images = tuple((text, str(report.images[kind.value])) for kind, text in names.items())
    classes = tuple(
        (label, str(each.images), str(each.boxes), f"{each.mean_score:.2f}") for label, each in report.per_class.items()
    )
    first = next((number for number, each in enumerate(report.scores) if each.boxes), 0)
    scores = tuple(
        (f"{each.from_score:.1f} to {each.from_score + 1 / _BINS:.1f}", str(each.boxes))
        for each in report.scores[first:]
    )
    return (
        GalleryTable("Images", ("images", "count"), images),
        GalleryTable("Classes", ("class", "images", "boxes", "mean score"), classes),
        GalleryTable("Scores", ("score", "boxes"), scores),
    )


def _group(
    heading: str, outcomes: Sequence[ImageOutcome], limit: int, folder: DataFolder, note: str = ""
) -> GalleryGroup:
    chosen = outcomes[:limit]
    pictures = tuple(filter(None, (_draw(outcome, folder) for outcome in chosen)))
    return GalleryGroup(heading, pictures, note, left_out=len(outcomes) - len(chosen))


def _draw(outcome: ImageOutcome, folder: DataFolder) -> GalleryPicture | None:
    try:
        image = decode_upright((folder.root / outcome.image).read_bytes())
    except (OSError, ImageProblemError):
        # It was removed meanwhile.
        return None
    boxes = tuple(GalleryBox(box.box_xyxy_px, BoxStyle.FOUND, f"{box.label} {box.score:.2f}") for box in outcome.boxes)
    counts = Counter(box.label for box in outcome.boxes)
    lines = [", ".join(f"{count} {label}" for label, count in counts.items())]
    if outcome.boxes:
        lines.append(f"lowest score {outcome.boxes[-1].score:.2f}")
    return GalleryPicture(outcome.image, make_thumbnail(image), image.size, tuple(filter(None, lines)), boxes)


def _least_sure_first(outcomes: Sequence[ImageOutcome]) -> list[ImageOutcome]:
    review = [outcome for outcome in outcomes if outcome.kind is OutcomeKind.REVIEW]
    return sorted(review, key=lambda outcome: outcome.boxes[-1].score)


def _count_classes(outcomes: Sequence[ImageOutcome]) -> dict[str, ClassCount]:
    scores: dict[str, list[float]] = defaultdict(list)
    images: Counter[str] = Counter()
    for outcome in outcomes:
        images.update({box.label for box in outcome.boxes})
        for box in outcome.boxes:
            scores[box.label].append(box.score)
    return {
        label: ClassCount(len(scores[label]), images[label], round(sum(scores[label]) / len(scores[label]), 4))
        for label in sorted(scores)
    }
