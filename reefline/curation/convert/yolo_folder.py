"""A YOLO data set: Ultralytics' data.yaml with folders of images and labels, or Darknet's classes.txt."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reefline.curation.convert.image_files import ImageFiles
from reefline.curation.convert.kinds import find_split
from reefline.data.layouts import list_any_files
from reefline.errors import ConfigError, DataError
from reefline.formats.yolo import parse_yolo
from reefline.images.codec import ImageProblemError, read_upright_size_px
from reefline.structures.annotation import Annotation
from reefline.structures.labelled_set import LabelledImage, LabelledSet

YOLO_CONFIGS = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_NAME_LISTS = ("classes.txt", "obj.names", "labels/classes.txt")


def is_yolo_folder(folder: Path) -> bool:
    """Return whether a folder is YOLO: it has data.yaml, or a list of class names and label files.

    Label tools write classes.txt next to VOC annotations, too.
    """
    if any((folder / name).is_file() for name in YOLO_CONFIGS):
        return True
    if not any((folder / name).is_file() for name in _NAME_LISTS):
        return False
    images = list_any_files(folder).images
    return any(path.is_file() for image in images for path in _label_files(folder, image))


def read_yolo_folder(folder: Path, files: ImageFiles) -> LabelledSet:
    """Read the labels of all images that have a label file. The names of an image's folders give its split.

    Raises:
        DataError: the folder names no classes.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: expected the folder of a YOLO data set, with data.yaml or classes.txt")
    names = _read_names(folder)
    images, problems = [], []
    for path in sorted(files.paths):
        label_file = next((found for found in _label_files(files.root, path) if found.is_file()), None)
        if label_file is None:
            problems.append(f"{path}: has no label file; it is left out (an image that shows nothing has an empty one)")
            continue
        try:
            size_px = read_upright_size_px((files.root / path).read_bytes())
            text = label_file.read_text(encoding="utf-8-sig", errors="replace")
        except (OSError, ImageProblemError) as error:
            problems.append(f"{path}: cannot read it ({error}); it is left out")
            continue
        objects, found = parse_yolo(text, names, size_px, str(label_file))
        problems += found
        split = find_split(tuple(posixpath.dirname(path).split("/")))
        images.append(LabelledImage(Annotation(path, *size_px, objects), split))
    return LabelledSet(names, tuple(images), tuple(problems))


def format_data_yaml(names: tuple[str, ...], splits: tuple[str, ...]) -> str:
    """Return data.yaml for folders images/<split>; the first split stands in for a missing train or val."""
    import yaml

    present = dict.fromkeys(splits, "")
    content: dict[str, Any] = {"path": "."}
    for split in ("train", "val", "test"):
        if split in present or split != "test":
            content[split] = f"images/{split if split in present else next(iter(present), 'train')}"
    return yaml.safe_dump({**content, "names": dict(enumerate(names))}, allow_unicode=True, sort_keys=False, width=1000)


def _label_files(root: Path, image: str) -> Iterator[Path]:
    """Yield where an image's labels may be: in `labels` instead of the last `images`, or next to the image."""
    stem = posixpath.splitext(image)[0]
    head, found, tail = f"/{stem}".rpartition("/images/")
    if found:
        yield root / f"{head}/labels/{tail}.txt".lstrip("/")
    yield root / f"{stem}.txt"
    yield root / f"labels/{stem}.txt"


def _read_names(folder: Path) -> tuple[str, ...]:
    for name in YOLO_CONFIGS:
        if (folder / name).is_file():
            return _read_yaml_names(folder / name)
    for name in _NAME_LISTS:
        if (folder / name).is_file():
            lines = (folder / name).read_text(encoding="utf-8-sig", errors="replace").splitlines()
            return tuple(line.strip() for line in lines if line.strip())
    raise DataError(f"{folder}: no class names: expected data.yaml with `names`, or classes.txt")


def _read_yaml_names(path: Path) -> tuple[str, ...]:
    from reefline.config.yaml_reader import read_yaml

    try:
        found = read_yaml(path).get("names")
    except ConfigError as error:
        raise DataError(*error.problems) from error
    if isinstance(found, dict):
        if sorted(found) != list(range(len(found))):
            raise DataError(f"{path}: `names` must number the classes from 0 without a gap")
        found = [found[number] for number in range(len(found))]
    if not isinstance(found, list) or not found:
        raise DataError(f"{path}: `names` must list the class names")
    return tuple(str(name).strip() for name in found)
