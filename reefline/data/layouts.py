"""Which files of a data folder are images, annotations and split lists, in any layout."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from reefline.data.image_record import EVAL, TEST, TRAIN, UNASSIGNED
from reefline.errors import DataError
from reefline.images.codec import IMAGE_SUFFIXES

# VOCdevkit keeps segmentation masks next to the photographs: PNGs that are not images to detect objects in.
_MASK_FOLDERS = frozenset({"SegmentationClass", "SegmentationObject"})
_LIST_FOLDER = ("ImageSets", "Main")
_LIST_SPLITS = {"train": TRAIN, "val": EVAL, "eval": EVAL, "test": TEST, "trainval": UNASSIGNED}


@dataclass(frozen=True)
class DataFiles:
    """The files to ingest, relative to the data folder, sorted, with forward slashes."""

    images: tuple[str, ...]
    annotations: tuple[str, ...]
    split_lists: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """Every file whose content decides what is ingested."""
        return tuple(sorted({*self.images, *self.annotations, *self.split_lists}))


@dataclass(frozen=True)
class SplitLists:
    """The splits from ImageSets/Main/*.txt: (root folder, image id) → split; UNASSIGNED is divided by hash.

    `sources` maps the same keys to the list file; `repeated` holds each (list file, id) that an earlier list names too.
    """

    splits: dict[tuple[str, str], str]
    sources: dict[tuple[str, str], str]
    repeated: tuple[tuple[str, str], ...]

    def split_of(self, *paths: str) -> str | None:
        """Return the split of the first of `paths` that a list names; None where no list names any."""
        for path in paths:
            pure = PurePosixPath(path)
            for folder in pure.parents:
                key = ("" if str(folder) == "." else str(folder), pure.stem)
                if key in self.splits:
                    return self.splits[key]
        return None


def list_data_files(data_dir: Path, *, image_dir: str | None = None, annotation_dir: str | None = None) -> DataFiles:
    """Find the images, annotations and split lists of a data folder, in nested folders too.

    `image_dir` and `annotation_dir`, relative to the data folder, narrow the search for images and annotations.

    Raises:
        DataError: the folder is missing, or holds no images or no annotations.
    """
    if not data_dir.is_dir():
        raise DataError(f"{data_dir}: no such folder: expected a folder of images with VOC annotations")
    for name, value in (("image_dir", image_dir), ("annotation_dir", annotation_dir)):
        if value is not None and not (data_dir / value).is_dir():
            raise DataError(f"{data_dir / value}: no such folder: data.{name} is relative to the data folder")
    where = str(data_dir.resolve())
    return select_data_files(_walk(data_dir), where, image_dir=image_dir, annotation_dir=annotation_dir)


def select_data_files(
    names: Iterable[str], where: str, *, image_dir: str | None = None, annotation_dir: str | None = None
) -> DataFiles:
    """Return the images, annotations and split lists among names relative to a data folder; `where` is its name.

    Raises:
        DataError: there are no images or no annotations.
    """
    files = sorted(names)
    images = [path for path in files if _is_image(path) and _is_under(path, image_dir)]
    annotations = [path for path in files if path.lower().endswith(".xml") and _is_under(path, annotation_dir)]
    if not images and not annotations:
        raise DataError(f"{where}: holds neither images nor VOC annotations (.xml): is this the right folder?")
    if not annotations:
        raise DataError(
            f"{where}: holds {len(images)} images and no annotation: save one VOC .xml file per image (LabelImg's "
            "PascalVOC format), next to the images or in a separate folder"
        )
    if not images:
        raise DataError(f"{where}: holds {len(annotations)} annotations and no image: add the images")
    lists = [path for path in files if _is_split_list(path)]
    return DataFiles(images=tuple(images), annotations=tuple(annotations), split_lists=tuple(lists))


def read_split_lists(data_dir: Path, split_lists: tuple[str, ...]) -> SplitLists | None:
    """Read ImageSets/Main/{train,val|eval,test,trainval}.txt; None where all are missing or empty.

    train.txt, val.txt and test.txt win over trainval.txt. Where no list names eval images, train.txt is divided.
    """
    splits: dict[tuple[str, str], str] = {}
    sources: dict[tuple[str, str], str] = {}
    repeated = []
    order = list(_LIST_SPLITS)
    for path in sorted(split_lists, key=lambda path: (order.index(PurePosixPath(path).stem), path)):
        name = PurePosixPath(path).stem
        for key in _read_list(data_dir, path):
            if key not in splits:
                splits[key], sources[key] = _LIST_SPLITS[name], path
            elif name != "trainval" and sources[key] != path:
                repeated.append((path, key[1]))
    if not splits:
        return None
    if EVAL not in splits.values():
        splits = {key: UNASSIGNED if split == TRAIN else split for key, split in splits.items()}
    return SplitLists(splits, sources, tuple(repeated))


def _read_list(data_dir: Path, path: str) -> Iterator[tuple[str, str]]:
    root = "/".join(PurePosixPath(path).parts[: -len(_LIST_FOLDER) - 1])
    text = (data_dir / path).read_text(encoding="utf-8", errors="replace")
    for line in text.splitlines():
        # The lists of one class have a second column. VOC has no ids with spaces.
        if words := line.split():
            yield root, words[0]


def _walk(data_dir: Path) -> Iterator[str]:
    """Yield every file but hidden ones and masks, following links to folders, each folder once."""
    visited = set()
    for folder, folders, files in os.walk(data_dir, followlinks=True):
        real = os.path.realpath(folder)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _MASK_FOLDERS)
        relative = Path(folder).relative_to(data_dir).as_posix()
        prefix = "" if relative == "." else f"{relative}/"
        yield from (prefix + name for name in files if not name.startswith("."))


def is_data_path(path: str) -> bool:
    """Return whether a file counts, by its path relative to the data folder: hidden ones and masks do not."""
    *folders, name = path.split("/")
    hidden = any(part.startswith(".") for part in (*folders, name))
    return not hidden and not _MASK_FOLDERS & set(folders)


def _is_image(path: str) -> bool:
    # PurePosixPath takes five times as long (benchmarks/ingestion.py).
    return posixpath.splitext(path)[1].lower() in IMAGE_SUFFIXES


def _is_under(path: str, folder: str | None) -> bool:
    return folder is None or PurePosixPath(path).is_relative_to(PurePosixPath(folder))


def _is_split_list(path: str) -> bool:
    if not path.endswith(".txt"):
        return False
    pure = PurePosixPath(path)
    return pure.stem in _LIST_SPLITS and pure.parts[-3:-1] == _LIST_FOLDER
