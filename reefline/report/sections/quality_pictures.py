"""Pictures of the quality section: thumbnails that are embedded once, and the boxes drawn over them."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reefline.evaluation.error_kinds import DetectionError, ErrorKind
from reefline.report.section import as_data_uri
from reefline.structures.boxes import BoxXyxyPx

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reefline.structures.detections import Detections, GroundTruth
    from reefline.structures.split_detections import SplitImage

# What the thumbnails of one page may add to it, as base64.
MAX_EMBEDDED_BYTES = 1_400_000
# Correct detections of one image; more hide what they are drawn over.
MAX_FOUND = 40


class BoxRole(str, enum.Enum):
    """What a drawn box is: an annotated object, a correct or a wrong detection, or an object that none found."""

    TRUTH = "truth"
    FOUND = "found"
    WRONG = "wrong"
    MISSED = "missed"


@dataclass(frozen=True)
class DrawnBox:
    """A box over a thumbnail, in pixels of the original image; `number` is that of an error, 0 for none."""

    box_xyxy_px: BoxXyxyPx
    role: BoxRole
    title: str
    number: int = 0

    @property
    def rectangle(self) -> tuple[int, int, int, int]:
        """x, y, width and height, rounded: the thumbnail is smaller than the image."""
        box = self.box_xyxy_px
        return round(box.x_min), round(box.y_min), max(1, round(box.width_px)), max(1, round(box.height_px))


@dataclass(frozen=True)
class Photo:
    """An embedded thumbnail: its id in the page, and its JPEG as a URI, "" if there is no thumbnail."""

    id: str
    name: str
    width_px: int
    height_px: int
    uri: str


def choose_photos(
    images: Sequence[SplitImage], wanted: Iterable[int], thumbnails: Mapping[str, bytes], max_bytes: int
) -> dict[int, Photo]:
    """Return the photos of the wanted images, by index, in this order, as far as `max_bytes` of base64 reach."""
    photos: dict[int, Photo] = {}
    embedded = 0
    for index in dict.fromkeys(wanted):
        image = images[index]
        jpeg = thumbnails.get(image.name)
        uri = as_data_uri(jpeg) if jpeg else ""
        if embedded + len(uri) > max_bytes:
            break
        embedded += len(uri)
        # File systems have names that are not Unicode, HTML has not.
        name = image.name.encode("utf-8", "replace").decode("utf-8")
        photos[index] = Photo(f"photo-{index}", name, image.width_px, image.height_px, uri)
    return photos


def draw_truth(
    truth: GroundTruth, errors: Iterable[DetectionError], class_names: Sequence[str]
) -> tuple[DrawnBox, ...]:
    """Return the annotated objects of an image without those that `errors` have as missed: errors are drawn, too."""
    missed = {error.truth_box for error in errors if error.kind is ErrorKind.MISSED}
    pairs = zip(truth.boxes_xyxy_px.tolist(), truth.class_indices.tolist(), strict=True)
    return tuple(
        DrawnBox(BoxXyxyPx(*box), BoxRole.TRUTH, f"annotated: {class_names[index]}")
        for box, index in pairs
        if BoxXyxyPx(*box) not in missed
    )


def draw_found(
    detections: Detections, errors: Iterable[DetectionError], min_scores: Sequence[float], class_names: Sequence[str]
) -> tuple[DrawnBox, ...]:
    """Return the correct detections of an image, those that `errors` do not name, the best scores first.

    `min_scores` are the thresholds of the classes.
    """
    import numpy as np

    kept = detections.scores >= np.asarray(min_scores, dtype=np.float64)[detections.class_indices]
    rows = zip(
        (BoxXyxyPx(*box) for box in detections.boxes_xyxy_px[kept].tolist()),
        detections.class_indices[kept].tolist(),
        detections.scores[kept].tolist(),
        strict=True,
    )
    wrong = {(error.box, error.detected_class) for error in errors}
    correct = [(box, index, score) for box, index, score in rows if (box, index) not in wrong]
    best = sorted(correct, key=lambda row: -row[2])[:MAX_FOUND]
    return tuple(
        DrawnBox(box, BoxRole.FOUND, f"detected: {class_names[index]} {score:.2f}") for box, index, score in best
    )
