"""Which files of a data folder are images, annotations and split lists, in any layout."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from reefline.data.rules.severity import describe_finding
from reefline.data.split_lists import is_split_list
from reefline.data.walking import Walk, walk_data_folder
from reefline.errors import DataError
from reefline.findings import Action, Finding
from reefline.images.codec import IMAGE_SUFFIXES
from reefline.structures.image_origin import ORIGINS_FILE
from reefline.system.files import show_path

_LISTED_PROBLEMS = 10
_OTHER_IMAGE_SUFFIXES = frozenset({".heic", ".heif", ".avif", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".psd"})


@dataclass(frozen=True)
class DataFiles:
    """The files to ingest, relative to the data folder, sorted, with forward slashes.

    `findings` are on files and folders that cannot be used, `origins` the files that tell where images come from.
    """

    images: tuple[str, ...]
    annotations: tuple[str, ...]
    split_lists: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    origins: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Every file whose content decides what is ingested."""
        return tuple(sorted({*self.images, *self.annotations, *self.split_lists, *self.origins}))


def list_data_files(data_dir: Path, *, image_dir: str | None = None, annotation_dir: str | None = None) -> DataFiles:
    """Find the images, annotations and split lists of a data folder, in nested folders too.

    `image_dir` and `annotation_dir`, relative to the data folder, narrow the search for images and annotations.

    Raises:
        DataError: the folder is missing or cannot be listed, or holds no images or no annotations.
    """
    if not data_dir.is_dir():
        raise DataError(f"{data_dir}: no such folder: expected a folder of images with VOC annotations")
    for name, value in (("image_dir", image_dir), ("annotation_dir", annotation_dir)):
        if value is not None and not (data_dir / value).is_dir():
            raise DataError(f"{data_dir / value}: no such folder: data.{name} is relative to the data folder")
    walk = walk_data_folder(data_dir)
    return select_data_files(
        walk.files,
        str(data_dir.resolve()),
        image_dir=image_dir,
        annotation_dir=annotation_dir,
        findings=_report_unusable(walk, image_dir, annotation_dir),
    )


def list_any_files(data_dir: Path) -> DataFiles:
    """Find what `list_data_files` finds, in a folder that may hold images alone.

    Raises:
        DataError: the folder is missing, cannot be listed, or holds no images.
    """
    if not data_dir.is_dir():
        raise DataError(f"{data_dir}: no such folder: expected a folder of images")
    walk = walk_data_folder(data_dir)
    findings = (*_report_unusable(walk, None, None), *_report_other_images(walk))
    files = _sort_out(walk.files, findings=findings)
    if not files.images:
        reasons = map(describe_finding, findings[:_LISTED_PROBLEMS])
        raise DataError(f"{data_dir}: holds no images", *reasons, findings=findings)
    return files


def _report_other_images(walk: Walk) -> list[Finding]:
    """Return a finding for each kind of image that cameras and editors write and Reefline does not read."""
    counts = Counter(posixpath.splitext(path)[1].lower() for path in walk.files)
    messages = (
        f"{counts[suffix]} {suffix} files are not read: convert them to JPEG"
        for suffix in sorted(counts.keys() & _OTHER_IMAGE_SUFFIXES)
    )
    return [Finding("", None, "file_unusable", message, Action.KEPT) for message in messages]


def select_data_files(
    names: Iterable[str],
    where: str,
    *,
    image_dir: str | None = None,
    annotation_dir: str | None = None,
    findings: tuple[Finding, ...] = (),
) -> DataFiles:
    """Return the images, annotations and split lists among names relative to a data folder; `where` is its name.

    `findings` are those of looking for the names.

    Raises:
        DataError: there are no images or no annotations.
    """
    files = _sort_out(names, image_dir=image_dir, annotation_dir=annotation_dir, findings=findings)
    _check_any(where, files)
    return files


def _sort_out(
    names: Iterable[str],
    *,
    image_dir: str | None = None,
    annotation_dir: str | None = None,
    findings: tuple[Finding, ...],
) -> DataFiles:
    files = sorted(names)
    return DataFiles(
        images=tuple(path for path in files if _is_image(path) and _is_under(path, image_dir)),
        annotations=tuple(path for path in files if _is_annotation(path) and _is_under(path, annotation_dir)),
        split_lists=tuple(filter(is_split_list, files)),
        findings=findings,
        origins=tuple(path for path in files if posixpath.basename(path) == ORIGINS_FILE),
    )


def _check_any(where: str, files: DataFiles) -> None:
    images, annotations, findings = files.images, files.annotations, files.findings
    if images and annotations:
        return
    if not images and not annotations:
        problem = "holds neither images nor VOC annotations (.xml): is this the right folder?"
    elif not annotations:
        problem = (
            f"holds {len(images)} images and no annotation: save one VOC .xml file per image (LabelImg's PascalVOC "
            "format), next to the images or in a separate folder"
        )
    else:
        problem = f"holds {len(annotations)} annotations and no image: add the images"
    reasons = map(describe_finding, findings[:_LISTED_PROBLEMS])
    raise DataError(f"{where}: {problem}", *reasons, findings=findings)


def _report_unusable(walk: Walk, image_dir: str | None, annotation_dir: str | None) -> tuple[Finding, ...]:
    findings = list(walk.findings)
    for path, reason in sorted(walk.unusable.items()):
        if _is_image(path) and _is_under(path, image_dir):
            action = Action.DROPPED_IMAGE
        elif (_is_annotation(path) and _is_under(path, annotation_dir)) or is_split_list(path):
            action = Action.KEPT  # the image that lacks it is what is dropped, and counted
        else:
            continue
        findings.append(Finding(show_path(path), None, "file_unusable", reason, action))
    return tuple(findings)


def _is_annotation(path: str) -> bool:
    return path.lower().endswith(".xml")


def _is_image(path: str) -> bool:
    # PurePosixPath takes five times as long (benchmarks/ingestion.py).
    return posixpath.splitext(path)[1].lower() in IMAGE_SUFFIXES


def _is_under(path: str, folder: str | None) -> bool:
    return folder is None or PurePosixPath(path).is_relative_to(PurePosixPath(folder))
