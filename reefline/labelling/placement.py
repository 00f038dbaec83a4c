"""Where the images of a folder go in the data set that is made from it: flat, as LabelImg and CVAT expect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from reefline.data.image_record import EVAL, SPLITS, TEST, TRAIN
from reefline.labelling.records import ImageOutcome, OutcomeKind

IMAGES, ANNOTATIONS, REVIEW = "JPEGImages", "Annotations", "review"
_LIST_NAMES = {TRAIN: "train", EVAL: "val", TEST: "test"}
# Folders that hold the images of a VOC data set: they are no part of an image's name.
_IMAGE_FOLDERS = frozenset({"jpegimages", "images"})


def name_images(images: Iterable[str], taken: Mapping[str, str]) -> dict[str, str]:
    """Return a file name for each image: its folders and its name, joined by "_".

    No two have the same stem, in any letter case. `taken` has the names that images have from an earlier run.
    """
    names = dict(taken)
    used = {_stem(name) for name in taken.values()}
    for image in images:
        if image in names:
            continue
        path = PurePosixPath(image)
        folders = [part for part in path.parts[:-1] if part.casefold() not in _IMAGE_FOLDERS]
        wanted = "_".join([*folders, path.stem])
        name, number = wanted, 1
        while name.casefold() in used:
            number += 1
            name = f"{wanted}-{number}"
        used.add(name.casefold())
        names[image] = f"{name}{path.suffix}"
    return names


def annotation_of(saved_as: str) -> str:
    """Return where the annotation of a saved image is, both relative to the output folder."""
    path = PurePosixPath(saved_as)
    return (path.parents[1] / ANNOTATIONS / f"{path.stem}.xml").as_posix()


def format_split_lists(outcomes: Sequence[ImageOutcome]) -> dict[str, bytes]:
    """Return the files of ImageSets, by their path in the output folder; none where the input names no split.

    Images in review/ have lists of their own there: once it is part of the data set, they are in their splits.
    """
    files: dict[str, bytes] = {}
    for part, prefix in ((False, ""), (True, f"{REVIEW}/")):
        for split in SPLITS:
            stems = [
                PurePosixPath(outcome.saved_as).stem
                for outcome in outcomes
                if outcome.split == split and outcome.saved_as and is_in_review(outcome.kind) is part
            ]
            if stems:
                path = f"{prefix}ImageSets/Main/{_LIST_NAMES[split]}.txt"
                files[path] = "".join(f"{stem}\n" for stem in sorted(stems)).encode()
    return files


def is_in_review(kind: OutcomeKind) -> bool:
    """Return whether images of this kind go to review/."""
    return kind in (OutcomeKind.REVIEW, OutcomeKind.NOTHING_FOUND)


def _stem(name: str) -> str:
    return PurePosixPath(name).stem.casefold()
