"""Builders of data sets and of the records that are made of them; every default is a valid one."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from reefline.data.image_record import TRAIN, ImageRecord, ObjectRecord
from reefline.data.reports import IngestionReport, count_splits
from reefline.formats.voc import format_voc_annotation
from reefline.structures.annotation import AnnotatedObject, Annotation
from reefline.structures.boxes import BoxXyxyPx

WIDTH_PX, HEIGHT_PX = 64, 48


def make_object(
    label: str = "cat", box: tuple[float, float, float, float] = (4, 4, 20, 20), **facts: object
) -> AnnotatedObject:
    return AnnotatedObject(label=label, box_xyxy_px=BoxXyxyPx(*box), **facts)


def make_pixels(seed: int = 0, *, width_px: int = WIDTH_PX, height_px: int = HEIGHT_PX) -> np.ndarray:
    """Return coarse noise, so that images of different seeds look different to a perceptual hash too."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width_px, height_px), Image.Resampling.BICUBIC))


def encode_image(pixels: np.ndarray, image_format: str = "JPEG", *, mode: str = "RGB", orientation: int = 1) -> bytes:
    image = Image.fromarray(pixels).convert(mode)
    exif = image.getexif()
    if orientation != 1:
        exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, image_format, exif=exif)
    return buffer.getvalue()


def make_jpeg(seed: int = 0, *, width_px: int = WIDTH_PX, height_px: int = HEIGHT_PX, orientation: int = 1) -> bytes:
    return encode_image(make_pixels(seed, width_px=width_px, height_px=height_px), orientation=orientation)


def make_xml(
    objects: Sequence[AnnotatedObject] = (make_object(),),
    *,
    filename: str = "a.jpg",
    size_px: tuple[int | None, int | None] = (WIDTH_PX, HEIGHT_PX),
) -> bytes:
    return format_voc_annotation(Annotation(filename, size_px[0], size_px[1], tuple(objects)))


def add_image(
    folder: Path,
    stem: str = "a",
    *,
    seed: int = 0,
    objects: Sequence[AnnotatedObject] = (make_object(),),
    image_bytes: bytes | None = None,
    suffix: str = ".jpg",
    images: str = "",
    annotations: str = "",
) -> Path:
    """Add one annotated image to a data folder, flat unless folders are named, and return the image's path."""
    image_path = folder / images / f"{stem}{suffix}"
    xml_path = folder / annotations / f"{stem}.xml"
    for path in (image_path, xml_path):
        path.parent.mkdir(parents=True, exist_ok=True)
    image_path.write_bytes(make_jpeg(seed) if image_bytes is None else image_bytes)
    xml_path.write_bytes(make_xml(objects, filename=image_path.name))
    return image_path


def make_data_set(folder: Path, *, images: int = 12, labels: Sequence[str] = ("cat", "dog")) -> Path:
    """Write a flat data set whose images differ, and hold the labels in turn."""
    for index in range(images):
        add_image(folder, f"image_{index:03d}", seed=index, objects=[make_object(labels[index % len(labels)])])
    return folder


def make_record(image: str = "a.jpg", *, split: str = TRAIN, **facts: object) -> ImageRecord:
    defaults = {
        "xml": f"{image.rpartition('.')[0]}.xml",
        "sha256": image.encode().hex().ljust(64, "0")[:64],
        "perceptual_hash": 0,
        "width_px": WIDTH_PX,
        "height_px": HEIGHT_PX,
        "apply_exif": False,
        "passes_through": True,
        "objects": (make_object_record(),),
    }
    return ImageRecord(image=image, split=split, **{**defaults, **facts})


def make_object_record(
    label: str = "cat", box: tuple[float, float, float, float] = (4, 4, 20, 20), index: int = 0
) -> ObjectRecord:
    return ObjectRecord(index, label, BoxXyxyPx(*box), difficult=False, truncated=False, pose="Unspecified")


def make_report(
    records: Sequence[ImageRecord] = (), *, names: Sequence[str] = ("cat",), **facts: object
) -> IngestionReport:
    defaults = {
        "splits": count_splits(records, ("train", "eval"), names),
        "findings": (),
        "label_map_names": tuple(names),
        "max_boxes_per_image": max((len(record.objects) for record in records), default=0),
    }
    return IngestionReport(**{**defaults, **facts})
