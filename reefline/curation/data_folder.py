"""A folder of images as people have it before a run: with VOC annotations, with one folder per label, or plain."""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass
from pathlib import Path

from reefline.curation.label_folders import IMAGE_FOLDER, find_label_folders, is_layout_folder
from reefline.data.annotation_file import read_annotation
from reefline.data.image_record import UNASSIGNED
from reefline.data.layouts import DataFiles, list_any_files
from reefline.data.matching import discover
from reefline.data.split_folders import SplitFolders, find_split_folders
from reefline.data.split_lists import SplitLists, read_split_lists
from reefline.data.walking import IGNORE_FILE
from reefline.findings import Finding
from reefline.structures.annotation import Annotation
from reefline.system.files import show_path

LABEL_MAP_FILE = "label_map.pbtxt"


class FolderKind(enum.Enum):
    """What a folder of images is; the values are for messages."""

    ANNOTATED = "images with VOC annotations"
    LABEL_FOLDERS = "one folder of images per label"
    IMAGES = "images without labels"


@dataclass(frozen=True)
class FolderImage:
    """An image: `image` and `xml` are relative to the folder, with forward slashes; `xml` None: not annotated.

    `split` is one of SPLITS, or UNASSIGNED where neither ImageSets nor folder names give one. `label` is the name of
    the top folder it lies in, below JPEGImages if the images are there; None where that is no label. `is_listed` is
    False where ImageSets or folder names give other images a split, but not this one.
    """

    image: str
    xml: str | None
    split: str
    label: str | None
    is_listed: bool = True


@dataclass(frozen=True)
class DataFolder:
    """The images of a folder, sorted by name, and what could not be used; `warnings` are about labels."""

    root: Path
    kind: FolderKind
    images: tuple[FolderImage, ...]
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...] = ()

    def path_of(self, image: FolderImage) -> Path:
        """Return where the image's file is."""
        return self.root / image.image

    def read_label_map(self) -> tuple[str, ...]:
        """Return the classes of label_map.pbtxt in their order, () without the file.

        Raises:
            ConfigError: it is damaged.
        """
        path = self.root / LABEL_MAP_FILE
        if not path.is_file():
            return ()
        from reefline.od_api.label_map_file import read_label_map

        return read_label_map(path).names

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
    found = find_label_folders(files.images, xml_of, lambda image: _read_classes(root, xml_of[image]))
    has_labels = any(label is not None for label in found.labels.values())
    kind = FolderKind.ANNOTATED if xml_of else FolderKind.LABEL_FOLDERS if has_labels else FolderKind.IMAGES
    splits = _find_splits(root, files, xml_of, by_folders=bool(xml_of) or found.are_splits)
    images = tuple(
        FolderImage(
            image=image,
            xml=xml_of.get(image),
            split=splits[image] or UNASSIGNED,
            label=found.labels[image],
            is_listed=splits[image] is not None,
        )
        for image in files.images
    )
    # Whether a missing annotation matters, the command decides.
    findings = tuple(finding for finding in discovery.findings if finding.rule != "image_not_annotated")
    return DataFolder(root, kind, images, findings, found.warnings)


def find_empty_label_folders(folder: DataFolder) -> list[str]:
    """Return the names of the folders that would be labels if they held images, sorted."""
    labelled = next((image.image for image in folder.images if image.label is not None), None)
    if labelled is None:
        return []
    top = labelled.partition("/")[0]
    prefix = f"{top}/" if top.casefold() == IMAGE_FOLDER else ""
    found = {image.image.removeprefix(prefix).partition("/")[0] for image in folder.images}
    return sorted(
        path.name
        for path in (folder.root / prefix).iterdir()
        if path.is_dir()
        and path.name not in found
        and not path.name.startswith(".")
        and not is_layout_folder(path.name)
        and not (path / IGNORE_FILE).exists()
        # Names that are not UTF-8 have a finding.
        and show_path(path.name) == path.name
    )


def _read_classes(root: Path, xml: str) -> frozenset[str]:
    annotation = read_annotation(root, xml)
    return frozenset() if isinstance(annotation, Finding) else frozenset(item.label for item in annotation.objects)


def _find_splits(root: Path, files: DataFiles, xml_of: dict[str, str], *, by_folders: bool) -> dict[str, str | None]:
    """Return the split of each image; None where only others have one."""
    everything = (*files.images, *files.annotations)
    splits: SplitLists | SplitFolders | None = read_split_lists(root, files.split_lists, everything)
    if splits is None and by_folders:
        splits = find_split_folders(everything)
    if splits is None:
        return dict.fromkeys(files.images, UNASSIGNED)
    paths = {image: (image, xml_of[image]) if image in xml_of else (image,) for image in files.images}
    return {image: splits.split_of(*found) for image, found in paths.items()}
