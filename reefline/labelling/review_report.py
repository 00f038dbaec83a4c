"""The doubts about a data set as a table and as a page of pictures."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from reefline.curation.data_folder import DataFolder
from reefline.images.codec import ImageProblemError
from reefline.images.thumbnails import make_thumbnail
from reefline.labelling.disagreement import Doubt, DoubtKind
from reefline.labelling.drawn_image import decode_as_drawn
from reefline.report.gallery import BoxStyle, GalleryBox, GalleryGroup, GalleryPicture, GalleryTable, make_gallery_page
from reefline.structures.boxes import BoxXyxyPx

if TYPE_CHECKING:
    from reefline.labelling.review import ImageDoubt, LabelReview

_COLUMNS = ("rank", "score", "kind", "image", "annotation", "object", "annotated", "detected", "confidence", "iou")
_BOX_COLUMNS = ("x_min", "y_min", "x_max", "y_max")
# Of each kind of doubt. A thumbnail has about 15 kB: the page stays below 3 MB.
DEFAULT_PICTURES = 50
# The kind that benchmarks/review_labels.py finds to be right most often comes first.
_GROUPS = (
    (DoubtKind.WRONG_CLASS, "Wrong class", "The model detects another class at the place of the annotated box."),
    (DoubtKind.LOOSE_BOX, "Loose box", "The model's box fits the annotated one badly."),
    (DoubtKind.MISSING_BOX, "Missing box", "The model detects an object that has no box."),
)
# How much around a doubtful box is shown: its longer side in each direction, and at least this.
_MIN_MARGIN_PX = 40


def format_table(review: LabelReview) -> str:
    """Return review.csv: the model's box is in pixels, `object` the 0-based number of the <object> in the XML."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*_COLUMNS, *_BOX_COLUMNS])
    for rank, each in enumerate(review.doubts, start=1):
        doubt = each.doubt
        number = "" if doubt.object_index is None else doubt.object_index
        named = (each.image, each.xml, number, doubt.annotated or "", doubt.detected)
        measured = (round(doubt.confidence, 4), round(doubt.iou, 4), *(round(side, 1) for side in doubt.box))
        writer.writerow([rank, round(doubt.score, 4), doubt.kind.value, *named, *measured])
    return stream.getvalue()


def make_page(name: str, review: LabelReview, folder: DataFolder, limit: int) -> str:
    """Return review.html with the first `limit` doubts of each kind: `name` is that of the data set."""
    groups = [_group(kind, heading, note, review, folder, limit) for kind, heading, note in _GROUPS]
    kinds = tuple((kind.value, str(review.count(kind))) for kind in DoubtKind)
    intro = (
        f"{review.boxes} boxes in {review.images} images, compared with what {review.model} detects. Either may be "
        "wrong. The numbers are the ranks in review.csv; each picture shows the part of the image around the box."
    )
    tables = [GalleryTable("Doubts", ("kind", "labels"), kinds)]
    if review.unknown_labels:
        rows = tuple((label, str(count)) for label, count in review.unknown_labels.items())
        tables.append(GalleryTable("Classes that the model does not know", ("class", "boxes"), rows))
    shown = [group for group in groups if group.pictures]
    return make_gallery_page(f"Labels of {name} to review", intro, shown, tables=tables)


def _group(
    kind: DoubtKind, heading: str, note: str, review: LabelReview, folder: DataFolder, limit: int
) -> GalleryGroup:
    doubts = [(rank, each) for rank, each in enumerate(review.doubts, start=1) if each.doubt.kind is kind]
    pictures = tuple(filter(None, (_draw(rank, each, folder) for rank, each in doubts[:limit])))
    left_out = max(0, len(doubts) - limit)
    return GalleryGroup(heading, pictures, f"{note} The surest doubt comes first.", left_out)


def _draw(rank: int, each: ImageDoubt, folder: DataFolder) -> GalleryPicture | None:
    doubt = each.doubt
    try:
        image = decode_as_drawn(folder.root / each.image, apply_exif=each.apply_exif)
    except (OSError, ImageProblemError):
        # It was removed meanwhile.
        return None
    area = _area_around(doubt, image.size)
    part = image.crop((int(area.x_min), int(area.y_min), int(area.x_max), int(area.y_max)))
    boxes = [GalleryBox(_move(doubt.box, area), BoxStyle.WRONG, f"{doubt.detected} {doubt.confidence:.2f}")]
    if doubt.annotated_box is not None:
        boxes.insert(0, GalleryBox(_move(doubt.annotated_box, area), BoxStyle.TRUTH, str(doubt.annotated)))
    lines = (f"{rank}. {describe_doubt(doubt)}",)
    return GalleryPicture(each.image, make_thumbnail(part), part.size, lines, tuple(boxes))


def describe_doubt(doubt: Doubt) -> str:
    """Return what the model disagrees with, in a few words."""
    if doubt.kind is DoubtKind.MISSING_BOX:
        return f"no box for {doubt.detected} (confidence {doubt.confidence:.2f})"
    if doubt.kind is DoubtKind.WRONG_CLASS:
        return f"{doubt.annotated} should be {doubt.detected}? (confidence {doubt.confidence:.2f})"
    return f"{doubt.annotated}: IoU {doubt.iou:.2f} with the model's box (confidence {doubt.confidence:.2f})"


def _area_around(doubt: Doubt, size_px: tuple[int, int]) -> BoxXyxyPx:
    """Return the part of the image to show, in whole pixels."""
    boxes = [doubt.box] if doubt.annotated_box is None else [doubt.box, doubt.annotated_box]
    margin = max(_MIN_MARGIN_PX, *(max(box.width_px, box.height_px) for box in boxes))
    area = BoxXyxyPx(
        min(box.x_min for box in boxes) - margin,
        min(box.y_min for box in boxes) - margin,
        max(box.x_max for box in boxes) + margin,
        max(box.y_max for box in boxes) + margin,
    )
    return BoxXyxyPx(*(float(round(side)) for side in area.clipped(*size_px)))


def _move(box: BoxXyxyPx, area: BoxXyxyPx) -> BoxXyxyPx:
    return BoxXyxyPx(box.x_min - area.x_min, box.y_min - area.y_min, box.x_max - area.x_min, box.y_max - area.y_min)
