"""A folder of images as people have it before a run: with VOC annotations, with one folder per label, or plain."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reefline.data.annotation_file import read_annotation
from reefline.data.image_record import UNASSIGNED
from reefline.data.layouts import DataFiles, list_any_files
from reefline.data.matching import discover
from reefline.data.split_folders import find_split_folders
from reefline.data.split_lists import read_split_lists
from reefline.findings import Finding
from reefline.structures.annotation import Annotation

# Folders that are part of a layout, and therefore no labels.
_LAYOUT_FOLDERS = frozenset(
    {"jpegimages", "images", "annotations", "imagesets", "train", "valid", "val", "validation", "eval", "test"}
)


class FolderKind(enum.Enum):
    """What a folder of images is; the values are for messages."""

    ANNOTATED = "images with VOC annotations"
    LABEL_FOLDERS = "one folder of images per label"
    IMAGES = "images without labels"


@dataclass(frozen=True)
class FolderImage:
    """An image: `image` and `xml` are relative to the folder, with forward slashes; `xml` None: not annotated.

    `split` is one of SPLITS, or UNASSIGNED where neither ImageSets nor folder names give one. `label` is the name of
    the top folder it lies in, None where that is no label.
    """

    image: str
    xml: str | None
    split: str
    label: str | None


@dataclass(frozen=True)
class DataFolder:
    """The images of a folder, sorted by name, and what could not be used."""

    root: Path
    kind: FolderKind
    images: tuple[FolderImage, ...]
    findings: tuple[Finding, ...]

    def path_of(self, image: FolderImage) -> Path:
        """Return where the image's file is."""
        return self.root / image.image

    def read_annotation(self, image: FolderImage) -> Annotation | Finding | None:
        """Return the image's annotation, the finding that says why it cannot be read, or None if it has none."""
        return None if image.xml is None else read_annotation(self.root, image.xml)


def read_data_folder(root: Path) -> DataFolder:
    """Find the images of a folder, their annotations, splits and labels. Annotations are matched as in ingestion.

    Subfolders with IGNORE_FILE are left out. Images that split lists do not name stay UNASSIGNED.

    Raises:
        DataError: the folder is missing, cannot be listed, or holds no images.
    """
    files = list_any_files(root)
    # Without their lists, so that images in no list are matched, too.
    discovery = discover(root, dataclasses.replace(files, split_lists=()), split_folders=False)
    xml_of = {candidate.image: candidate.xml for candidate in discovery.candidates}
    has_labels = _has_label_folders(files.images)
    kind = FolderKind.ANNOTATED if xml_of else FolderKind.LABEL_FOLDERS if has_labels else FolderKind.IMAGES
    splits = _find_splits(root, files, xml_of)
    images = tuple(
        FolderImage(image, xml_of.get(image), splits[image], image.split("/")[0] if has_labels else None)
        for image in files.images
    )
    # Whether a missing annotation matters, the command decides.
    findings = tuple(finding for finding in discovery.findings if finding.rule != "image_not_annotated")
    return DataFolder(root, kind, images, findings)


def _has_label_folders(images: Sequence[str]) -> bool:
    tops = {image.split("/")[0] if "/" in image else "" for image in images}
    return "" not in tops and not any(top.casefold() in _LAYOUT_FOLDERS for top in tops)


def _find_splits(root: Path, files: DataFiles, xml_of: dict[str, str]) -> dict[str, str]:
    everything = (*files.images, *files.annotations)
    splits = read_split_lists(root, files.split_lists, everything) or find_split_folders(everything)
    if splits is None:
        return dict.fromkeys(files.images, UNASSIGNED)
    paths = {image: (image, xml_of[image]) if image in xml_of else (image,) for image in files.images}
    return {image: splits.split_of(*found) or UNASSIGNED for image, found in paths.items()}
