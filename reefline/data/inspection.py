"""The first pass over the images: each is read, checked and forgotten; its record and findings stay."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reefline.data.image_record import ImageRecord, ObjectRecord
from reefline.data.matching import Candidate, is_unsafe_filename, report_unsafe_filename
from reefline.data.rules.annotation_rules import ImageContext, check_size
from reefline.data.rules.box_repair import repair_objects
from reefline.findings import Action, Finding
from reefline.formats.voc import AnnotationSyntaxError, ForbiddenXmlError, parse_voc_annotation
from reefline.images.codec import MAX_JPEG_SIDE_PX, ImageFacts, ImageProblemError, inspect_image, shrunk_size_px
from reefline.structures.annotation import Annotation
from reefline.structures.boxes import BoxXyxyPx


@dataclass(frozen=True)
class ImageLimits:
    """How large an image may be: above `max_image_pixels` it is refused, above `max_dimension` px a side shrunk."""

    max_image_pixels: int
    max_dimension: int | None = None


@dataclass(frozen=True)
class Inspection:
    """What came of one candidate; `record` is None where it is left out."""

    record: ImageRecord | None
    findings: tuple[Finding, ...]
    boxes_found: int = 0


def inspect_candidate(
    data_dir: Path, candidate: Candidate, limits: ImageLimits, label_names: Sequence[str] | None
) -> Inspection:
    """Read an image and its annotation and return what is to be ingested of them, and what there is to report.

    `label_names` is the given label map's, None where it is made from what is found. What is wrong with the data
    becomes a finding.
    """
    annotation = _read_annotation(data_dir, candidate.xml)
    if isinstance(annotation, Finding):
        return Inspection(None, (annotation,))
    try:
        image_bytes = (data_dir / candidate.image).read_bytes()
        facts = inspect_image(image_bytes, max_image_pixels=limits.max_image_pixels)
        apply_exif, exif_findings = _judge_rotation(candidate.image, annotation, facts)
        record = _start_record(candidate, facts, apply_exif, limits.max_dimension)
    except OSError as error:
        problem = ImageProblemError("image_missing", f"the image cannot be opened: {error.strerror}")
        return _leave_out(candidate, annotation, problem)
    except ImageProblemError as error:
        return _leave_out(candidate, annotation, error)
    size_px = facts.upright_size_px if apply_exif else (facts.width_px, facts.height_px)
    context = ImageContext(candidate.xml, *size_px, None if label_names is None else tuple(label_names))
    objects, box_findings = repair_objects(context, annotation.objects)
    findings = (*exif_findings, *check_size(candidate.xml, annotation, size_px), *box_findings)
    if facts.is_animated:
        message = "the image has several frames; the first is used: check that the boxes belong to it"
        findings += (Finding(candidate.image, None, "image_animated", message, Action.KEPT),)
    return Inspection(
        record=record._replace(
            sha256=hashlib.sha256(image_bytes).hexdigest(),
            objects=_scale_objects(objects, record, size_px),
        ),
        findings=findings,
        boxes_found=len(annotation.objects),
    )


def _read_annotation(data_dir: Path, xml: str) -> Annotation | Finding:
    try:
        annotation = parse_voc_annotation((data_dir / xml).read_bytes())
    except ForbiddenXmlError as error:
        return Finding(xml, None, "xml_forbidden", str(error), Action.DROPPED_IMAGE)
    except AnnotationSyntaxError as error:
        return Finding(xml, None, "xml_unreadable", str(error), Action.DROPPED_IMAGE)
    except OSError as error:
        return Finding(
            xml, None, "xml_unreadable", f"the file cannot be opened: {error.strerror}", Action.DROPPED_IMAGE
        )
    if is_unsafe_filename(annotation.filename):
        return report_unsafe_filename(xml, annotation.filename)
    return annotation


def _leave_out(candidate: Candidate, annotation: Annotation, problem: ImageProblemError) -> Inspection:
    finding = Finding(candidate.image, None, problem.rule, str(problem), Action.DROPPED_IMAGE)
    return Inspection(None, (finding,), len(annotation.objects))


def _judge_rotation(image: str, annotation: Annotation, facts: ImageFacts) -> tuple[bool, tuple[Finding, ...]]:
    """Say whether the boxes were drawn on the upright image, and report it: <size> tells, else where the boxes lie."""
    if facts.exif_orientation == 1:
        return False, ()
    stored, upright = (facts.width_px, facts.height_px), facts.upright_size_px
    annotated = (annotation.width_px, annotation.height_px)
    if annotated in (stored, upright):
        is_upright = annotated == upright
    else:
        is_upright = all(
            item.box_xyxy_px.overhang_px(*upright) == 0 for item in annotation.objects if item.box_xyxy_px.is_finite
        )
    if is_upright:
        message = f"EXIF orientation {facts.exif_orientation} is applied: the boxes agree with the upright image"
        return True, (Finding(image, None, "exif_rotated", message, Action.FIXED),)
    message = f"EXIF orientation {facts.exif_orientation} is not applied: the boxes agree with the image as stored"
    return False, (Finding(image, None, "exif_rotated", message, Action.KEPT),)


def _start_record(candidate: Candidate, facts: ImageFacts, apply_exif: bool, max_dimension: int | None) -> ImageRecord:
    size_px = facts.upright_size_px if apply_exif else (facts.width_px, facts.height_px)
    written_px = shrunk_size_px(size_px, max_dimension)
    passes_through = facts.is_rgb_jpeg and not apply_exif and written_px == size_px
    if not passes_through and max(written_px) > MAX_JPEG_SIDE_PX:
        raise ImageProblemError(
            "image_too_large",
            f"{written_px[0]} x {written_px[1]} px do not fit into a JPEG, whose sides end at {MAX_JPEG_SIDE_PX} px: "
            "set data.max_dimension",
        )
    return ImageRecord(
        image=candidate.image,
        xml=candidate.xml,
        split=candidate.split,
        sha256="",
        perceptual_hash=facts.perceptual_hash,
        width_px=written_px[0],
        height_px=written_px[1],
        apply_exif=apply_exif,
        passes_through=passes_through,
        objects=(),
    )


def _scale_objects(
    objects: Sequence[ObjectRecord], record: ImageRecord, size_px: tuple[int, int]
) -> tuple[ObjectRecord, ...]:
    written_px = (record.width_px, record.height_px)
    if written_px == size_px:
        return tuple(objects)
    factors = (written_px[0] / size_px[0], written_px[1] / size_px[1])
    return tuple(item._replace(box_xyxy_px=_scale(item.box_xyxy_px, factors, written_px)) for item in objects)


def _scale(box: BoxXyxyPx, factors: tuple[float, float], written_px: tuple[int, int]) -> BoxXyxyPx:
    # Clipped, as a product of floats may land a hair outside.
    return box.scaled(*factors).clipped(*written_px)
