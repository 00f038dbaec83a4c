"""Which folders of a data folder are labels, and which are only part of its layout."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from reefline.data.spans import span_of
from reefline.data.split_folders import find_split_folders

IMAGE_FOLDER = "jpegimages"
_SPLIT_FOLDERS = frozenset({"train", "valid", "val", "validation", "eval", "test"})
_LAYOUT_FOLDERS = _SPLIT_FOLDERS | {IMAGE_FOLDER, "images", "annotations", "imagesets"}
# Enough annotations to tell whether they name the folders, and quickly read.
_SAMPLE = 100


@dataclass(frozen=True)
class LabelFolders:
    """The label that each image gets from its folder, None for none; `warnings` name folders that give none."""

    labels: Mapping[str, str | None]
    warnings: tuple[str, ...] = ()

    @property
    def are_splits(self) -> bool:
        """Whether folders such as train/ may be splits: none of them is a label."""
        return not any(label is not None and is_layout_folder(label) for label in self.labels.values())


def find_label_folders(
    images: Sequence[str], annotated: Collection[str], read_classes: Callable[[str], frozenset[str]]
) -> LabelFolders:
    """Return the labels of images, whose paths have forward slashes; `read_classes` reads those of an annotated one.

    Top folders are labels, or those below JPEGImages. They are not if all of them are words of a layout, such as train
    and test, or if most images lie outside. Where images are annotated, top folders count only if there are several
    and the annotations name them.
    """
    labels = {image: folder_of(image) for image in images}
    named = {label for label in labels.values() if label is not None}
    with_boxes = sorted(image for image in annotated if labels[image] is not None)
    is_annotated = len(annotated) > 0
    nothing: dict[str, str | None] = dict.fromkeys(images)
    if not named or all(map(is_layout_folder, named)):
        return LabelFolders(nothing, () if is_annotated else tuple(_explain_layout(images, named)))
    strays = [image for image, label in labels.items() if label is None]
    if 2 * len(strays) >= len(images):
        where = _count(strays, "is", "are")
        warning = f"folders give no labels, because {where} outside of them: move each image to its label's folder"
        return LabelFolders(nothing, () if is_annotated else (warning,))
    if is_annotated and not _are_named_by(with_boxes, labels, named, read_classes):
        without = len(images) - len(annotated)
        warning = f"folders give no labels: most annotations in them name other classes; {without} images have none"
        return LabelFolders(nothing, (warning,) if len(named) > 1 and without > len(annotated) else ())
    unlabelled = sorted(set(strays) - set(annotated))
    warnings = [f"{_count(unlabelled, 'has', 'have')} no label: outside of the label folders"] if unlabelled else []
    words = sorted(filter(is_layout_folder, named))
    if words:
        warnings.append(f"{', '.join(words)}: used as labels, because other folders of images are next to them")
    return LabelFolders(labels, tuple(warnings))


def folder_of(image: str) -> str | None:
    """Return the folder that may be the image's label: the top one, or the one below JPEGImages; spans are none."""
    if span_of(image) is not None:
        return None
    top, _, rest = image.partition("/")
    # What `reefline prepare` writes for one folder per label.
    label, slash, _ = rest.partition("/") if top.casefold() == IMAGE_FOLDER else (top, rest, "")
    return label if slash else None


def is_layout_folder(name: str) -> bool:
    """Return whether a folder's name is that of a layout's part, or of a span."""
    return name.casefold() in _LAYOUT_FOLDERS or span_of(f"{name}/") is not None


def _are_named_by(
    with_boxes: Sequence[str],
    labels: Mapping[str, str | None],
    named: set[str],
    read_classes: Callable[[str], frozenset[str]],
) -> bool:
    """Return whether the folders are labels, although images are annotated."""
    if all(image.partition("/")[0].casefold() == IMAGE_FOLDER for image, label in labels.items() if label is not None):
        return True
    sample = with_boxes[:: max(1, len(with_boxes) // _SAMPLE)]
    fitting = sum(labels[image] in read_classes(image) for image in sample)
    return len(named) > 1 and 2 * fitting > len(sample)


def _explain_layout(images: Sequence[str], named: set[str]) -> Iterator[str]:
    """Yield why folders that look like labels are none."""
    splits = sorted(name for name in named if name.casefold() in _SPLIT_FOLDERS)
    if splits and find_split_folders(images) is None:
        yield f"{', '.join(splits)}: gives no label, because the name is that of a split: rename it if it is a label"
    nested = sorted(image.rpartition("/")[0] for image in images if image.count("/") > 1)
    if nested:
        yield f"{nested[0]}: gives no label; only folders at the top of the data folder do"


def _count(images: Sequence[str], one: str, several: str) -> str:
    """Return the images as a subject, with its verb."""
    return f"1 image ({images[0]}) {one}" if len(images) == 1 else f"{len(images)} images ({images[0]}, …) {several}"
