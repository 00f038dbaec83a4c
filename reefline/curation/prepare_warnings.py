"""What deserves a look in a prepared data set: labels without images or evaluation, images without annotations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reefline.curation.data_folder import DataFolder, FolderKind, find_empty_label_folders

_NAMES_SHOWN = 5


@dataclass(frozen=True)
class Prepared:
    """What counts of a written image: its list of ImageSets, whether it has an annotation, and its labels."""

    list_name: str
    is_annotated: bool
    labels: frozenset[str]


def find_warnings(
    folder: DataFolder, prepared: Sequence[Prepared], *, edited: Sequence[str], eval_fraction: float | None
) -> list[str]:
    """Return the warnings, one line each; `edited` are annotations in the output that someone drew or changed."""
    warnings = list(folder.warnings)
    if edited:
        warnings.append(
            f"{_name(edited)}: added or changed since prepare wrote the data set, and kept with the image as it is: "
            "delete it to write both again"
        )
    unlisted = sum(not image.is_listed for image in folder.images)
    if unlisted:
        warnings.append(
            f"{unlisted} images are left out: the split lists or split folders of the input name others only"
        )
    missing = sum(not each.is_annotated for each in prepared)
    if missing and folder.kind is FolderKind.ANNOTATED:
        warnings.append(f"{missing} images have no annotation: annotate them, or run `reefline autolabel`")
    if folder.kind is not FolderKind.IMAGES:
        warnings += _find_empty_labels(folder, prepared)
    if eval_fraction is not None:
        warnings += _find_unevaluated(prepared)
    return warnings


def _find_empty_labels(folder: DataFolder, prepared: Sequence[Prepared]) -> Iterator[str]:
    written = {label for each in prepared for label in each.labels}
    found = {image.label for image in folder.images if image.label is not None}
    empty = find_empty_label_folders(folder)
    if empty:
        yield f"no image in the folder of label {_name(empty)}: add images, or delete the folder"
    lost = sorted(found - written)
    if lost:
        yield f"no usable image of label {_name(lost)}: see the findings"


def _find_unevaluated(prepared: Sequence[Prepared]) -> Iterator[str]:
    counts = Counter(label for each in prepared for label in each.labels)
    evaluated = {label for each in prepared if each.list_name == "val" for label in each.labels}
    alone = sorted(label for label in counts if label not in evaluated and counts[label] == 1)
    if alone:
        yield f"only one image of label {_name(alone)}: it is in train, and nothing evaluates the label"
    others = sorted(label for label in counts if label not in evaluated and counts[label] > 1)
    if others:
        yield f"no image of label {_name(others)} is in val: its images look alike, or share other labels' split"
    if not any(each.list_name == "val" for each in prepared):
        yield "no image is in val: there are too few distinct images"


def _name(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
