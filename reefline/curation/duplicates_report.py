"""What a search for duplicates leaves in `duplicates/`: a CSV with a line per moved image, and a page to look at."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from reefline.curation.duplicates_folder import CSV_FILE, FOLDER, PAGE_FILE, MovedImage, read_moves
from reefline.images.codec import ImageProblemError, decode_small
from reefline.images.thumbnails import MAX_SIDE_PX, make_thumbnail
from reefline.report.gallery import GalleryGroup, GalleryPicture, make_gallery_page
from reefline.settings import IngestionSettings
from reefline.system.files import write_whole
from reefline.system.terminal import format_bytes

_COLUMNS = (
    *("moved", "to", "kept", "kind", "bits", "labels_differ"),
    *("width", "height", "bytes", "kept_width", "kept_height", "kept_bytes"),
)
_MAX_GROUPS = 100
_MAX_PICTURES_PER_GROUP = 12


def describe_likeness(bits: int | None) -> str:
    """Return how a duplicate compares with the kept image, as text for people."""
    return "exact copy" if bits is None else f"near duplicate, {bits} of 64 bits differ"


def write_duplicates_report(root: Path) -> int:
    """Write duplicates.csv and duplicates.html on all images that lie in `duplicates/`, and return their number.

    Raises:
        OSError: a file cannot be written.
    """
    moves = read_moves(root)
    if moves:
        write_whole(root / FOLDER / CSV_FILE, _format_csv(moves))
        write_whole(root / FOLDER / PAGE_FILE, _make_page(root, moves))
    return len(moves)


def _format_csv(moves: Sequence[MovedImage]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for move in sorted(moves, key=lambda move: (move.kept, move.image)):
        kind = "exact" if move.bits is None else "near"
        sizes = (move.width_px, move.height_px, move.bytes, move.kept_width_px, move.kept_height_px, move.kept_bytes)
        bits = 0 if move.bits is None else move.bits
        writer.writerow((move.image, move.to, move.kept, kind, bits, str(move.labels_differ).lower(), *sizes))
    # Names may hold bytes that are no text.
    return text.getvalue().encode("utf-8", "backslashreplace").decode("utf-8")


def _make_page(root: Path, moves: Sequence[MovedImage]) -> str:
    groups: dict[str, list[MovedImage]] = {}
    for move in moves:
        groups.setdefault(move.kept, []).append(move)
    # The most doubtful first: conflicting labels, then the largest difference.
    ranked = sorted(groups.values(), key=lambda group: (*_doubt(group), group[0].kept))
    near = sum(move.bits is not None for move in moves)
    shown = (
        "" if len(ranked) <= _MAX_GROUPS else f" The {_MAX_GROUPS} most doubtful of {len(ranked):,} groups are shown."
    )
    intro = (
        f"{len(moves):,} images were moved to {FOLDER}/: {len(moves) - near:,} exact copies and {near:,} near "
        f"duplicates. The first picture of each group stayed.{shown} To bring them back, run reefline dedupe with "
        f"--undo. {CSV_FILE} lists all of them."
    )
    return make_gallery_page("Duplicates", intro, [_make_group(root, group) for group in ranked[:_MAX_GROUPS]])


def _doubt(group: Sequence[MovedImage]) -> tuple[bool, int]:
    return (
        not any(move.labels_differ for move in group),
        -max(-1 if move.bits is None else move.bits for move in group),
    )


def _make_group(root: Path, group: Sequence[MovedImage]) -> GalleryGroup:
    first = group[0]
    kept_size_px = (first.kept_width_px, first.kept_height_px)
    kept = _make_picture(root, first.kept, first.kept, kept_size_px, first.kept_bytes, "kept")
    shown = group[:_MAX_PICTURES_PER_GROUP]
    moved = [
        _make_picture(
            root, move.to, move.image, (move.width_px, move.height_px), move.bytes, describe_likeness(move.bits)
        )
        for move in shown
    ]
    differ = any(move.labels_differ for move in group)
    return GalleryGroup(
        heading=first.kept,
        pictures=tuple(picture for picture in (kept, *moved) if picture is not None),
        note="The same picture lies in folders of different labels: check which one is right." if differ else "",
        left_out=len(group) - len(shown),
    )


def _make_picture(
    root: Path, path: str, name: str, size_px: tuple[int, int], size_bytes: int, fate: str
) -> GalleryPicture | None:
    """Return a picture for the page; None where the file is no longer there or readable."""
    try:
        content = (root / path).read_bytes()
        limit = IngestionSettings().max_image_pixels
        small, _ = decode_small(content, apply_exif=True, max_image_pixels=limit, side_px=MAX_SIDE_PX)
    except (OSError, ImageProblemError):
        return None
    facts = f"{size_px[0]} × {size_px[1]} px, {format_bytes(size_bytes)}"
    return GalleryPicture(name, make_thumbnail(small), size_px, lines=(fate, facts))
