"""Pictures of findings: thumbnails that ingestion made, with the boxes to draw on them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reefline.data.image_record import ImageRecord
from reefline.data.reports import FindingPictures, PicturedFile
from reefline.errors import RecordError
from reefline.findings import Finding
from reefline.report.section import as_data_uri
from reefline.structures.artifacts import IngestionFolder

PAIR_RULES = ("duplicate_across_splits", "near_duplicate_across_splits")
MAX_EXAMPLES = 8
MAX_PAIRS = 8
# Thumbnails have up to 20 kB; the page of a run has 3 MB for everything.
MAX_PICTURE_BYTES = 900_000
_MAX_MESSAGES = 3
# A box thinner than this share of the picture would be invisible.
_MIN_SIDE = 0.04


@dataclass(frozen=True)
class Rect:
    """A box to draw, in the picture's units."""

    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True)
class Shot:
    """A picture: `uri` shows the image, whose `width` and `height` are the units of `rects`."""

    file: str
    image: str
    uri: str
    width: int
    height: int
    rects: tuple[Rect, ...] = ()
    messages: tuple[str, ...] = ()
    more: int = 0


@dataclass(frozen=True)
class Pair:
    """Two images of different splits that are equal or look alike."""

    shots: tuple[Shot, Shot]
    splits: tuple[str, str]
    bits: int

    @property
    def is_exact(self) -> bool:
        """Whether the files are identical."""
        return self.bits < 0


@dataclass
class Album:
    """What ingestion kept: files by name and JPEGs by image; `budget` is how many bytes may still be embedded."""

    files: Mapping[str, PicturedFile]
    jpegs: Mapping[str, bytes]
    damaged: bool = False
    budget: int = MAX_PICTURE_BYTES

    def show(self, file: str, findings: Sequence[Finding] = ()) -> Shot | None:
        """Return the picture of a file with the boxes of findings; None where there is none, or no budget is left."""
        pictured = self.files.get(file)
        jpeg = self.jpegs.get(pictured.image) if pictured else None
        if pictured is None or jpeg is None or len(jpeg) > self.budget:
            return None
        self.budget -= len(jpeg)
        objects = {finding.object for finding in findings}
        rects = tuple(
            _make_rect(box.box_xyxy_px, (pictured.width_px, pictured.height_px), box.label)
            for box in pictured.boxes
            if box.object in objects
        )
        messages = tuple(dict.fromkeys(finding.message for finding in findings))
        return Shot(
            file=file,
            image=pictured.image,
            uri=as_data_uri(jpeg),
            width=pictured.width_px,
            height=pictured.height_px,
            rects=rects,
            messages=messages[:_MAX_MESSAGES],
            more=max(0, len(messages) - _MAX_MESSAGES),
        )


def open_album(folder: IngestionFolder) -> Album:
    """Return ingestion's pictures; a folder without them has an empty album, and damaged files are left out."""
    if not folder.pictures.is_file():
        return Album({}, {})
    try:
        files = {pictured.file: pictured for pictured in FindingPictures.read(folder.pictures).files}
    except RecordError as error:
        logging.getLogger(__name__).warning("%s", error)
        return Album({}, {}, damaged=True)
    jpegs, damaged = _read_jpegs(folder.thumbnails, {pictured.image for pictured in files.values()})
    return Album(files, jpegs, damaged)


def find_examples(findings: Iterable[Finding], album: Album) -> tuple[Shot, ...]:
    """Return pictures of the first files that findings of one rule name, one per file, up to MAX_EXAMPLES."""
    by_file: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.file in album.files:
            by_file.setdefault(finding.file, []).append(finding)
    shots: list[Shot] = []
    for file, found in by_file.items():
        if len(shots) == MAX_EXAMPLES:
            break
        shot = album.show(file, found)
        if shot is not None:
            shots.append(shot)
    return tuple(shots)


def find_pairs(findings: Iterable[Finding], records: Sequence[ImageRecord], album: Album) -> tuple[Pair, ...]:
    """Return the pairs of images across splits whose pictures exist, up to MAX_PAIRS."""
    from reefline.data.finding_pictures import find_partners

    record_of = {record.image: record for record in records}
    pairs: list[Pair] = []
    for finding in findings:
        own = record_of.get(finding.file)
        if finding.rule not in PAIR_RULES or finding.file not in album.files or own is None:
            continue
        for other in find_partners(finding, records):
            if len(pairs) == MAX_PAIRS:
                return tuple(pairs)
            left = album.show(own.image) if other.image in album.files else None
            right = album.show(other.image)
            if left is not None and right is not None:
                bits = -1 if own.sha256 == other.sha256 else (own.perceptual_hash ^ other.perceptual_hash).bit_count()
                pairs.append(Pair((left, right), (own.split, other.split), bits))
    return tuple(pairs)


def _read_jpegs(path: Path, names: set[str]) -> tuple[dict[str, bytes], bool]:
    """Return the thumbnails and whether the file is damaged; they only illustrate, so nothing is raised."""
    from reefline.images.thumbnails import read_thumbnails

    try:
        return read_thumbnails(path, names), False
    except Exception as error:  # a damaged zip may raise nearly anything
        logging.getLogger(__name__).warning("%s: cannot read the thumbnails (%s)", path, error)
        return {}, True


def _make_rect(box_xyxy_px: tuple[float, float, float, float], size_px: tuple[int, int], title: str) -> Rect:
    """Return a box as a visible part of its picture: corners in order, inside the picture, and not too thin."""
    x_min, x_max = _make_visible(box_xyxy_px[0], box_xyxy_px[2], size_px[0])
    y_min, y_max = _make_visible(box_xyxy_px[1], box_xyxy_px[3], size_px[1])
    return Rect(round(x_min, 2), round(y_min, 2), round(x_max - x_min, 2), round(y_max - y_min, 2), title)


def _make_visible(first: float, second: float, extent: float) -> tuple[float, float]:
    low, high = (min(max(value, 0.0), extent) for value in sorted((first, second)))
    thinnest = _MIN_SIDE * extent
    if high - low >= thinnest:
        return low, high
    start = min(max((low + high - thinnest) / 2, 0.0), extent - thinnest)
    return start, start + thinnest
