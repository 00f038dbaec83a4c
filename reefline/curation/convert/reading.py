"""Reading a data set in any of the formats: what it is, where its files are, and which image each annotation means."""

from __future__ import annotations

import dataclasses
import os
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reefline.curation.convert.image_files import ImageFiles
from reefline.curation.convert.kinds import DataFormat, find_split
from reefline.curation.convert.yolo_folder import YOLO_CONFIGS, is_yolo_folder, read_yolo_folder
from reefline.curation.data_folder import FolderKind, read_data_folder
from reefline.errors import DataError
from reefline.findings import Finding
from reefline.formats.coco_json import is_coco, parse_coco
from reefline.formats.cvat import parse_cvat
from reefline.formats.json_input import parse_json
from reefline.formats.label_studio import is_label_studio, parse_label_config, parse_label_studio
from reefline.images.codec import ImageProblemError, read_upright_size_px
from reefline.structures.annotation import Annotation
from reefline.structures.labelled_set import LabelledImage, LabelledSet, merge_names

LABEL_CONFIG_FILE = "label_config.xml"
_WORDS = re.compile(r"[^0-9a-zA-Z]+")
_CVAT_ROOT = re.compile(rb"<annotations[\s>]")


@dataclass(frozen=True)
class ReadData:
    """A data set and its image files: `paths` names each image's file below `root`, in the order of `labelled.images`.

    Every image has a size, the one that its boxes were drawn on.
    """

    format: DataFormat
    root: Path
    labelled: LabelledSet
    paths: tuple[str, ...]


def read_any_format(source: Path, *, images: Path | None = None, format: DataFormat | None = None) -> ReadData:
    """Read a folder or an annotation file; `images` is the folder of its images, by default the one around it.

    Raises:
        DataError: nothing is there, its format is unknown, or none of its images can be used.
    """
    if not source.exists():
        raise DataError(f"{source}: no such file or folder")
    if source.name in YOLO_CONFIGS:
        source = source.parent
    files = ImageFiles(images or _find_image_root(source))
    found = format or detect_format(source)
    if found is DataFormat.VOC:
        labelled = _read_voc(source)
    elif found is DataFormat.YOLO:
        labelled = read_yolo_folder(source, files)
    else:
        labelled = _join([_read_file(path, found, files) for path in _list_files(source, found)], source, found)
    return _resolve(found, files, labelled, source)


def _find_image_root(source: Path) -> Path:
    """Return the folder that has the images of a folder or an annotation file: in COCO's layout they lie next to it."""
    if source.is_dir():
        return source
    beside = source.absolute().parent.parent / "images"
    return beside.parent if beside.is_dir() and source.absolute().parent.name == "annotations" else source.parent


def detect_format(source: Path) -> DataFormat:
    """Return the format of a folder or an annotation file.

    Raises:
        DataError: it is of none of the formats.
    """
    if source.is_file() and source.suffix.lower() not in (".json", ".xml"):
        raise DataError(f"{source}: expected a folder, a .json file (COCO, Label Studio) or a .xml file (CVAT)")
    if source.is_dir() and is_yolo_folder(source):
        return DataFormat.YOLO
    for format in (DataFormat.COCO, DataFormat.LABEL_STUDIO, DataFormat.CVAT):
        if _list_files(source, format):
            return format
    if source.is_dir() and read_data_folder(source).kind is FolderKind.ANNOTATED:
        return DataFormat.VOC
    raise DataError(
        f"{source}: no annotations of a known format: expected VOC XML, COCO JSON, YOLO with data.yaml or classes.txt, "
        "CVAT for images 1.1 or Label Studio JSON; name it with --from if it is one of these"
    )


def _list_files(source: Path, format: DataFormat) -> list[Path]:
    """Return the annotation files of one of the formats that have one file for many images."""
    suffix = ".xml" if format is DataFormat.CVAT else ".json"
    if source.is_file():
        paths = [source]
    else:
        found = (path for pattern in ("", "*/", "*/*/") for path in source.glob(f"{pattern}*{suffix}"))
        paths = sorted(path for path in found if not any(part.startswith(".") for part in path.parts))
    return [path for path in paths if _is_of_format(path, format)]


def _is_of_format(path: Path, format: DataFormat) -> bool:
    try:
        if format is DataFormat.CVAT:
            with path.open("rb") as file:
                return _CVAT_ROOT.search(file.read(1000)) is not None
        value = parse_json(path.read_bytes(), str(path))
    except OSError as error:
        raise DataError(f"{path}: cannot read it ({error.strerror})") from error
    except DataError:
        return False
    return is_coco(value) if format is DataFormat.COCO else is_label_studio(value)


def _read_file(path: Path, format: DataFormat, files: ImageFiles) -> LabelledSet:
    content, name = path.read_bytes(), str(path)
    if format is DataFormat.COCO:
        # instances_val2017.json, or Roboflow's valid/_annotations.coco.json.
        words = (*_WORDS.split(re.sub(r"\d+", " ", path.stem)), path.parent.name)
        labelled = parse_coco(content, name, split=find_split(words))
    elif format is DataFormat.CVAT:
        labelled = parse_cvat(content, name)
    else:
        labelled = parse_label_studio(content, name)
        interface = path.with_name(LABEL_CONFIG_FILE)
        if interface.is_file():
            declared = parse_label_config(interface.read_text(encoding="utf-8"))
            labelled = dataclasses.replace(labelled, names=merge_names(declared, labelled.names))
    return dataclasses.replace(labelled, images=tuple(_find_next_to(path, image, files) for image in labelled.images))


def _find_next_to(path: Path, image: LabelledImage, files: ImageFiles) -> LabelledImage:
    """Return the image with the path of the file that its name means from the annotation file's folder, if it exists.

    Exports with a folder per split repeat names.
    """
    found = posixpath.normpath(posixpath.join(os.path.relpath(path.parent, files.root), image.annotation.filename))
    if found not in files.paths:
        return image
    return dataclasses.replace(image, annotation=dataclasses.replace(image.annotation, filename=found))


def _join(parts: Sequence[LabelledSet], source: Path, format: DataFormat) -> LabelledSet:
    if not parts:
        raise DataError(f"{source}: no {format.value} annotations found; name another format with --from")
    return LabelledSet(
        names=merge_names(*(part.names for part in parts)),
        images=tuple(image for part in parts for image in part.images),
        problems=tuple(problem for part in parts for problem in part.problems),
    )


def _read_voc(source: Path) -> LabelledSet:
    if not source.is_dir():
        raise DataError(f"{source}: expected the folder of a VOC data set")
    folder = read_data_folder(source)
    images, problems = [], [f"{finding.file}: {finding.message}" for finding in folder.findings]
    for image in folder.images:
        annotation = folder.read_annotation(image)
        if isinstance(annotation, Finding):
            problems.append(f"{annotation.file}: {annotation.message}")
        elif annotation is None:
            problems.append(f"{image.image}: has no annotation; it is left out")
        else:
            images.append(LabelledImage(dataclasses.replace(annotation, filename=image.image), image.split))
    used = sorted({item.label for image in images for item in image.annotation.objects})
    return LabelledSet(merge_names(folder.read_label_map(), tuple(used)), tuple(images), tuple(problems))


def _resolve(format: DataFormat, files: ImageFiles, labelled: LabelledSet, source: Path) -> ReadData:
    """Find each image's file and size; an image without them becomes a problem."""
    images: dict[str, LabelledImage] = {}
    problems = [*labelled.problems, *_report_unknown_splits(labelled)]
    for image in labelled.images:
        name = image.annotation.filename
        path = files.find(name)
        if path is None:
            problems.append(f"{name or '(no name)'}: no such image in {files.root}; it is left out")
        elif path in images:
            problems.append(f"{name}: is annotated twice; the first annotation is used")
        elif not image.annotated:
            problems.append(f"{name}: nobody annotated it; it is left out")
        else:
            sized = _with_size(files.root / path, image, problems)
            if sized is not None:
                images[path] = sized
    if not images:
        raise DataError(f"{source}: no image can be converted", *problems[:10])
    kept = LabelledSet(labelled.names, tuple(images.values()), tuple(problems))
    return ReadData(format, files.root, kept, tuple(images))


def _report_unknown_splits(labelled: LabelledSet) -> list[str]:
    unknown = sorted({image.split for image in labelled.images if image.split and not find_split((image.split,))})
    return [f"the subset {name!r} is none of train, val and test; its images have no split" for name in unknown]


def _with_size(path: Path, image: LabelledImage, problems: list[str]) -> LabelledImage | None:
    """Return the image with the size its boxes were drawn on: its file's, upright or as stored."""
    try:
        upright_px = read_upright_size_px(path.read_bytes())
    except (OSError, ImageProblemError) as error:
        problems.append(f"{path}: cannot read the image ({error}); it is left out")
        return None
    annotation = image.annotation
    drawn_px = (annotation.width_px or 0, annotation.height_px or 0)
    if drawn_px == upright_px[::-1]:
        if drawn_px != upright_px:
            problems.append(f"{path}: its boxes ignore the EXIF rotation, and stay so: run `reefline prepare` first")
        upright_px = drawn_px
    elif all(drawn_px) and drawn_px != upright_px:
        problems.append(
            f"{path}: is {upright_px[0]} x {upright_px[1]} px, but its annotation was made for "
            f"{drawn_px[0]} x {drawn_px[1]} px: check its boxes"
        )
    return dataclasses.replace(
        image,
        annotation=Annotation(annotation.filename, *upright_px, annotation.objects),
        # Only known words: a split becomes the name of a folder.
        split=find_split((image.split,)),
    )
