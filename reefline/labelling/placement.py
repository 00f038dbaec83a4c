"""Where the images of a folder go in the data set that is made from it: flat, as LabelImg and CVAT expect."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from reefline.curation.output_names import choose_stems
from reefline.data.image_record import LIST_NAMES, SPLITS, UNASSIGNED
from reefline.labelling.records import ImageOutcome, OutcomeKind

IMAGES, ANNOTATIONS, REVIEW = "JPEGImages", "Annotations", "review"
# Folders that hold the images of a VOC data set: they are no part of an image's name.
_IMAGE_FOLDERS = frozenset({"jpegimages", "images"})


def name_images(images: Sequence[str], taken: Mapping[str, str]) -> dict[str, str]:
    """Return a file name for each image; no two have the same stem, in any letter case.

    `taken` has the names that images have from an earlier run.
    """
    names = dict(taken)
    used = {PurePosixPath(name).stem.casefold() for name in taken.values()}
    for image, stem in zip(images, choose_stems([_below_image_folder(image) for image in images]), strict=True):
        if image not in names:
            numbered = (stem if number == 1 else f"{stem}_{number}" for number in itertools.count(1))
            name = next(name for name in numbered if name.casefold() not in used)
            used.add(name.casefold())
            names[image] = f"{name}{PurePosixPath(image).suffix}"
    return names


def _below_image_folder(image: str) -> str:
    top, _, rest = image.partition("/")
    return rest if rest and top.casefold() in _IMAGE_FOLDERS else image


def annotation_of(saved_as: str) -> str:
    """Return where the annotation of a saved image is, both relative to the output folder."""
    path = PurePosixPath(saved_as)
    return (path.parents[1] / ANNOTATIONS / f"{path.stem}.xml").as_posix()


def format_split_lists(outcomes: Sequence[ImageOutcome]) -> dict[str, bytes]:
    """Return the files of ImageSets, by their path in the output folder; none where the input names no split.

    A list without images is empty bytes: an earlier run may have written it. Images in review/ have their own lists
    there: once review/ is part of the data set, they are in their splits.
    """
    files: dict[str, bytes] = {}
    if all(outcome.split == UNASSIGNED for outcome in outcomes):
        return files
    for part, prefix in ((False, ""), (True, f"{REVIEW}/")):
        for split in SPLITS:
            stems = [
                PurePosixPath(outcome.saved_as).stem
                for outcome in outcomes
                if outcome.split == split and outcome.saved_as and is_in_review(outcome.kind) is part
            ]
            path = f"{prefix}ImageSets/Main/{LIST_NAMES[split]}.txt"
            files[path] = "".join(f"{stem}\n" for stem in sorted(stems)).encode()
    return files


def is_in_review(kind: OutcomeKind) -> bool:
    """Return whether images of this kind go to review/."""
    return kind in (OutcomeKind.REVIEW, OutcomeKind.NOTHING_FOUND)
