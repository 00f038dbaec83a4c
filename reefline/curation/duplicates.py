"""Which images of a folder are duplicates, exact or near, and which one of each group is kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from reefline.curation.data_folder import read_data_folder
from reefline.curation.seen_images import SeenImage, UnreadableImage, see_images
from reefline.errors import UsageError
from reefline.findings import Action, Finding
from reefline.images.look_alikes import DEFAULT_MAX_BITS, LookIndex, Turns

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class DedupeRequest:
    """What to look for: duplicates inside `folder`, or images of it that `against` has too."""

    folder: Path
    against: Path | None = None
    turns: Turns = field(default_factory=Turns)
    max_bits: int = DEFAULT_MAX_BITS
    workers: int = 1


@dataclass(frozen=True)
class Duplicate:
    """An image to move, and the image that is kept for it; `bits` differ in their hashes, None for an exact copy.

    The path of `kept` is relative to the folder too: it may lie in another one.
    """

    moved: SeenImage
    kept: SeenImage
    bits: int | None

    @property
    def labels_differ(self) -> bool:
        """Whether the two lie in folders of different labels: one of them is wrong."""
        return None not in (self.moved.label, self.kept.label) and self.moved.label != self.kept.label


@dataclass(frozen=True)
class DuplicateSearch:
    """What a search found; `images` is the number of images looked at, `findings` are on files that were not."""

    images: int
    duplicates: tuple[Duplicate, ...]
    unreadable: tuple[UnreadableImage, ...]
    findings: tuple[Finding, ...] = ()


def find_duplicates(request: DedupeRequest, on_progress: Progress) -> DuplicateSearch:
    """Read all images and return which are duplicates; nothing is changed.

    Raises:
        DataError: a folder is missing, cannot be listed, or holds no images.
        UsageError: the two folders overlap.
    """
    folder = read_data_folder(request.folder)
    against = None if request.against is None else read_data_folder(_check_apart(request.folder, request.against))
    read, total = len(folder.images), len(folder.images) + (len(against.images) if against else 0)
    seen, unreadable = see_images(folder, request.turns, request.workers, lambda done: on_progress(done, total))
    if against is None:
        duplicates = tuple(_find_inside(seen, folder.root, request))
        return DuplicateSearch(total, duplicates, unreadable, _select(folder.findings))
    others, unreadable_too = see_images(
        against, request.turns, request.workers, lambda done: on_progress(read + done, total)
    )
    prefix = os.path.relpath(against.root.resolve(), folder.root.resolve())
    others = [replace(image, image=f"{prefix}/{image.image}") for image in others]
    unreadable_too = tuple(replace(found, image=f"{prefix}/{found.image}") for found in unreadable_too)
    duplicates = tuple(_find_across(seen, others, folder.root, request))
    findings = _select((*folder.findings, *against.findings))
    return DuplicateSearch(total, duplicates, (*unreadable, *unreadable_too), findings)


def _select(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings on images and folders that cannot be opened; annotations do not matter here."""
    return tuple(
        finding
        for finding in findings
        if finding.rule == "folder_unreadable"
        or (finding.rule == "file_unusable" and finding.action is Action.DROPPED_IMAGE)
    )


def _check_apart(folder: Path, against: Path) -> Path:
    one, other = folder.resolve(), against.resolve()
    if one == other or one in other.parents or other in one.parents:
        raise UsageError(f"--against {against}: overlaps {folder}; name a folder outside it")
    return against


def _find_inside(seen: Sequence[SeenImage], root: Path, request: DedupeRequest) -> Iterator[Duplicate]:
    """Yield the duplicates inside one folder.

    The best image that is left is kept, and everything near to it moves. Members of a chain that are not near to the
    kept image stay, and are the next to be kept.
    """
    distinct, copies = _merge_copies(sorted(seen, key=_rank))
    index = LookIndex([image.look for image in distinct], turns=request.turns, max_bits=request.max_bits)
    is_done = np.zeros(len(distinct), dtype=bool)
    for number, kept in enumerate(distinct):
        if is_done[number]:
            continue
        is_done[number] = True
        yield from _move_all(copies[kept.sha256], kept, None, root)
        for other, bits in list(index.find(kept.look, skip=is_done)):
            is_done[other] = True
            yield from _move_all((distinct[other], *copies[distinct[other].sha256]), kept, bits, root)


def _find_across(
    seen: Sequence[SeenImage], others: Sequence[SeenImage], root: Path, request: DedupeRequest
) -> Iterator[Duplicate]:
    """Yield the images of one folder that another has too: those move, whichever is better."""
    distinct, copies = _merge_copies(sorted(seen, key=_rank))
    numbers = {image.sha256: number for number, image in enumerate(distinct)}
    index = LookIndex([image.look for image in distinct], turns=request.turns, max_bits=request.max_bits)
    kept_images, _ = _merge_copies(sorted(others, key=_rank))
    # Exact copies first, so that a near one does not claim them.
    found: list[tuple[SeenImage, int, int | None]] = [
        (kept, numbers[kept.sha256], None) for kept in kept_images if kept.sha256 in numbers
    ]
    is_done = np.zeros(len(distinct), dtype=bool)
    is_done[[number for _, number, _ in found]] = True
    for kept in kept_images:
        near = list(index.find(kept.look, skip=is_done))
        is_done[[number for number, _ in near]] = True
        found += [(kept, number, bits) for number, bits in near]
    for kept, number, bits in found:
        yield from _move_all((distinct[number], *copies[distinct[number].sha256]), kept, bits, root)


def _move_all(images: Iterable[SeenImage], kept: SeenImage, bits: int | None, root: Path) -> Iterator[Duplicate]:
    for image in images:
        # Where a link is kept, moving the file behind it would break the link.
        if not (kept.is_link and (root / kept.image).resolve() == (root / image.image).resolve()):
            yield Duplicate(image, kept, bits)


def _rank(image: SeenImage) -> tuple[bool, bool, int, int, str]:
    """Return what sorts the image to keep first: boxes are work, a link is no file, then size, bytes and name."""
    return (image.xml is None, image.is_link, -image.width_px * image.height_px, -image.bytes, image.image)


def _merge_copies(ranked: Sequence[SeenImage]) -> tuple[list[SeenImage], dict[str, list[SeenImage]]]:
    """Return the best image of each content, and the others by content."""
    distinct: dict[str, SeenImage] = {}
    copies: dict[str, list[SeenImage]] = {}
    for image in ranked:
        if image.sha256 in distinct:
            copies[image.sha256].append(image)
        else:
            distinct[image.sha256], copies[image.sha256] = image, []
    return list(distinct.values()), copies
