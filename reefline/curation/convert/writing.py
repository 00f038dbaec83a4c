"""Writing a data set in one of the formats: image files next to annotations, in the layout that its tools expect."""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reefline.curation.convert.kinds import DataFormat
from reefline.curation.convert.reading import LABEL_CONFIG_FILE, ReadData
from reefline.curation.convert.yolo_folder import format_data_yaml
from reefline.curation.data_folder import LABEL_MAP_FILE
from reefline.curation.output_folder import copy_file, explain_write_errors, write_file
from reefline.curation.output_names import choose_stems
from reefline.data.image_record import EVAL, LIST_NAMES
from reefline.formats.coco_json import format_coco
from reefline.formats.cvat import format_cvat
from reefline.formats.label_studio import format_label_config, format_label_studio
from reefline.formats.voc import format_voc_annotation
from reefline.formats.yolo import format_yolo
from reefline.structures.image_origin import copy_origins
from reefline.structures.label_map import LabelMap
from reefline.structures.labelled_set import LabelledImage

_IMAGES = "images"
_AGAIN = "run the command again with --overwrite"


@dataclass(frozen=True)
class _Plan:
    """What is written where: `places` has an image's file below the output folder for each of `images`."""

    names: tuple[str, ...]
    images: tuple[LabelledImage, ...]
    places: tuple[str, ...]


def write_format(
    data: ReadData, format: DataFormat, out: Path, *, on_image: Callable[[int, int], None] = lambda done, total: None
) -> None:
    """Write images and annotations to the folder `out`; `on_image` gets the number of images written, and of all.

    The annotations come last: a folder with them is complete.

    Raises:
        DataError: a file cannot be read or written.
    """
    folder_of: Callable[[LabelledImage], str] = {
        DataFormat.VOC: lambda image: "JPEGImages",
        DataFormat.YOLO: lambda image: f"{_IMAGES}/{LIST_NAMES.get(image.split, 'train')}",
    }.get(format, lambda image: _IMAGES)
    plan = _plan(data, folder_of)
    with explain_write_errors(out, advice=_AGAIN):
        for number, (source, place) in enumerate(zip(data.paths, plan.places, strict=True), start=1):
            copy_file(data.root / source, out / place)
            on_image(number, len(data.paths))
        copy_origins(data.root, out, dict(zip(data.paths, plan.places, strict=True)))
        for path, content in _WRITERS[format](plan).items():
            write_file(out / path, content)
    if format is DataFormat.VOC:
        _write_label_map(out, plan.names)


def describe_losses(images: Sequence[LabelledImage], format: DataFormat) -> list[str]:
    """Return one line for each kind of fact that a format has no place for, and for splits that YOLO needs."""
    objects = [item for image in images for item in image.annotation.objects]
    has_flags = format not in (DataFormat.YOLO, DataFormat.LABEL_STUDIO)
    lost = {
        "difficult flags": 0 if has_flags else sum(item.difficult for item in objects),
        "truncated flags": 0 if has_flags else sum(item.truncated for item in objects),
        "poses": 0 if has_flags else sum(item.pose != "Unspecified" for item in objects),
        "scores": sum(item.score is not None for item in objects) if format is DataFormat.YOLO else 0,
    }
    lines = [
        f"{format.value} has no place for {count} {what}; they are left out" for what, count in lost.items() if count
    ]
    if format is DataFormat.YOLO and not any(image.split == EVAL for image in images):
        lines.append("no val split: data.yaml names train instead; run `reefline prepare --eval-fraction 0.2` first")
    return lines


def _plan(data: ReadData, folder_of: Callable[[LabelledImage], str]) -> _Plan:
    used = sorted({item.label for image in data.labelled.images for item in image.annotation.objects})
    names = tuple(dict.fromkeys((*data.labelled.names, *used)))
    suffixes = (posixpath.splitext(path)[1] for path in data.paths)
    flat = [stem + suffix for stem, suffix in zip(choose_stems(data.paths), suffixes, strict=True)]
    renamed = tuple(
        dataclasses.replace(image, annotation=dataclasses.replace(image.annotation, filename=name))
        for image, name in zip(data.labelled.images, flat, strict=True)
    )
    return _Plan(names, renamed, tuple(f"{folder_of(image)}/{image.annotation.filename}" for image in renamed))


def _write_voc(plan: _Plan) -> Mapping[str, bytes]:
    files = {
        f"Annotations/{posixpath.splitext(image.annotation.filename)[0]}.xml": format_voc_annotation(image.annotation)
        for image in plan.images
    }
    for split, images in _by_split(plan.images).items():
        stems = "".join(f"{posixpath.splitext(image.annotation.filename)[0]}\n" for image in images)
        if split:
            files[f"ImageSets/Main/{LIST_NAMES[split]}.txt"] = stems.encode()
    return files


def _write_coco(plan: _Plan) -> Mapping[str, bytes]:
    return {
        f"annotations/instances{f'_{LIST_NAMES[split]}' if split else ''}.json": format_coco(
            [image.annotation for image in images], plan.names
        )
        for split, images in _by_split(plan.images).items()
    }


def _write_yolo(plan: _Plan) -> Mapping[str, bytes]:
    files = {}
    for image, place in zip(plan.images, plan.places, strict=True):
        label = f"labels/{posixpath.splitext(place)[0].removeprefix(f'{_IMAGES}/')}.txt"
        files[label] = format_yolo(image.annotation, plan.names).encode()
    splits = tuple(dict.fromkeys(place.split("/")[1] for place in plan.places))
    files["data.yaml"] = format_data_yaml(plan.names, splits).encode()
    return files


def _write_cvat(plan: _Plan) -> Mapping[str, bytes]:
    return {"annotations.xml": format_cvat(plan.images, plan.names)}


def _write_label_studio(plan: _Plan) -> Mapping[str, bytes]:
    return {
        "tasks.json": format_label_studio(plan.images, _IMAGES),
        LABEL_CONFIG_FILE: format_label_config(plan.names).encode(),
    }


_WRITERS: Mapping[DataFormat, Callable[[_Plan], Mapping[str, bytes]]] = {
    DataFormat.VOC: _write_voc,
    DataFormat.COCO: _write_coco,
    DataFormat.YOLO: _write_yolo,
    DataFormat.CVAT: _write_cvat,
    DataFormat.LABEL_STUDIO: _write_label_studio,
}


def _by_split(images: Sequence[LabelledImage]) -> dict[str, list[LabelledImage]]:
    groups: dict[str, list[LabelledImage]] = {}
    for image in images:
        groups.setdefault(image.split, []).append(image)
    return groups


def _write_label_map(out: Path, names: tuple[str, ...]) -> None:
    from reefline.od_api.label_map_file import write_label_map

    if names:
        with explain_write_errors(out, advice=_AGAIN):
            write_label_map(out / LABEL_MAP_FILE, LabelMap(names))
