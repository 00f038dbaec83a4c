"""The first pass over the images: each is read, checked and released; its record and findings remain."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reefline.data.annotation_file import read_annotation
from reefline.data.image_record import ImageRecord, ObjectRecord
from reefline.data.matching import Candidate
from reefline.data.rules.annotation_rules import ImageContext, is_resized, match_size
from reefline.data.rules.box_repair import repair_objects
from reefline.findings import Action, Finding
from reefline.images.codec import MAX_JPEG_SIDE_PX, ImageFacts, ImageProblemError, inspect_image
from reefline.images.sizes import shrunk_size_px, shrunk_to_shorter_side_px
from reefline.structures.annotation import Annotation
from reefline.structures.boxes import BoxXyxyPx
from reefline.system.files import read_file


@dataclass(frozen=True)
class ImageLimits:
    """How large an image may be: above `max_image_pixels` it is refused, above `max_dimension` px a side shrunk.

    `min_dimension` shrinks it, too: to that many px of the shorter side.
    """

    max_image_pixels: int
    max_dimension: int | None = None
    min_dimension: int | None = None

    def shrink(self, size_px: tuple[int, int]) -> tuple[int, int]:
        """Return the size to write an image of `size_px` in."""
        return shrunk_size_px(shrunk_to_shorter_side_px(size_px, self.min_dimension), self.max_dimension)


@dataclass(frozen=True)
class Inspection:
    """The result for one candidate; `record` is None where it is left out."""

    record: ImageRecord | None
    findings: tuple[Finding, ...]
    boxes_found: int = 0


@dataclass(frozen=True)
class _Rendering:
    """How an image is written: `drawn_px` is the size that its boxes are drawn on, `written_px` that of the JPEG.

    `boxes_decided` is False where nothing in the annotation shows whether the orientation applies.
    """

    apply_exif: bool
    boxes_decided: bool
    passes_through: bool
    drawn_px: tuple[int, int]
    written_px: tuple[int, int]


def inspect_candidate(
    data_dir: Path, candidate: Candidate, limits: ImageLimits, label_names: Sequence[str] | None
) -> Inspection:
    """Read an image and its annotation and return the record to ingest, and all findings.

    `label_names` are those of the given label map; None where the label map is built from the labels found. Problems
    with the data become findings.
    """
    annotation = candidate.annotation or read_annotation(data_dir, candidate.xml)
    if isinstance(annotation, Finding):
        return Inspection(None, (annotation,))
    try:
        image_bytes = read_file(data_dir, candidate.image)
        facts = inspect_image(image_bytes, max_image_pixels=limits.max_image_pixels)
        rendering = _plan_rendering(annotation, facts, limits)
    except OSError as error:
        problem = ImageProblemError("image_missing", f"cannot open the image ({error.strerror})")
        return _leave_out(candidate, annotation, problem)
    except ImageProblemError as error:
        return _leave_out(candidate, annotation, error)
    names = None if label_names is None else tuple(label_names)
    annotated, size_findings = match_size(candidate.xml, annotation, rendering.drawn_px)
    objects, box_findings = repair_objects(ImageContext(candidate.xml, *rendering.drawn_px, names), annotated)
    record = ImageRecord(
        image=candidate.image,
        xml=candidate.xml,
        split=candidate.split,
        sha256=hashlib.sha256(image_bytes).hexdigest(),
        perceptual_hash=facts.perceptual_hash,
        width_px=rendering.written_px[0],
        height_px=rendering.written_px[1],
        apply_exif=rendering.apply_exif,
        passes_through=rendering.passes_through,
        objects=_scale_objects(objects, rendering),
    )
    findings = (
        *_report_rotation(candidate.image, facts, rendering),
        *size_findings,
        *box_findings,
        *_report_frames(candidate.image, facts),
        *_report_range(candidate.image, facts),
    )
    return Inspection(record, findings, boxes_found=len(annotation.objects))


def _leave_out(candidate: Candidate, annotation: Annotation, problem: ImageProblemError) -> Inspection:
    finding = Finding(candidate.image, None, problem.rule, str(problem), Action.DROPPED_IMAGE)
    return Inspection(None, (finding,), len(annotation.objects))


def _plan_rendering(annotation: Annotation, facts: ImageFacts, limits: ImageLimits) -> _Rendering:
    drawn_upright = _find_drawn_upright(annotation, facts) if facts.exif_orientation != 1 else False
    apply_exif = drawn_upright is not False
    drawn_px = facts.upright_size_px if apply_exif else (facts.width_px, facts.height_px)
    written_px = limits.shrink(drawn_px)
    passes_through = facts.is_rgb_jpeg and not apply_exif and written_px == drawn_px
    if not passes_through and max(written_px) > MAX_JPEG_SIDE_PX:
        raise ImageProblemError(
            "image_too_large",
            f"{written_px[0]} x {written_px[1]} px exceed a JPEG's limit of {MAX_JPEG_SIDE_PX} px a side: "
            "set data.max_dimension",
        )
    return _Rendering(apply_exif, drawn_upright is not None, passes_through, drawn_px, written_px)


def _find_drawn_upright(annotation: Annotation, facts: ImageFacts) -> bool | None:
    """Return whether the boxes were drawn on the upright image: <size> decides, else where they lie; None: neither."""
    stored, upright = (facts.width_px, facts.height_px), facts.upright_size_px
    if stored == upright:
        return None
    annotated = (annotation.width_px, annotation.height_px)
    if annotated in (stored, upright):
        return annotated == upright
    if is_resized(annotated, stored) != is_resized(annotated, upright):
        return is_resized(annotated, upright)
    boxes = [item.box_xyxy_px for item in annotation.objects if item.box_xyxy_px.is_finite]
    off_stored, off_upright = (
        max((box.overhang_px(*size) for box in boxes), default=0.0) for size in (stored, upright)
    )
    return off_upright < off_stored if off_upright != off_stored else None


def _report_rotation(image: str, facts: ImageFacts, rendering: _Rendering) -> tuple[Finding, ...]:
    if facts.exif_orientation == 1:
        return ()
    orientation, action = f"EXIF orientation {facts.exif_orientation}", Action.FIXED
    if not rendering.boxes_decided:
        message = f"{orientation} is applied, but the annotation fits both ways: check the boxes on the upright image"
    elif rendering.apply_exif:
        message = f"{orientation} is applied: the boxes match the upright image"
    else:
        message, action = f"{orientation} is ignored: the boxes match the image as stored", Action.KEPT
    return (Finding(image, None, "exif_rotated", message, action),)


def _report_range(image: str, facts: ImageFacts) -> tuple[Finding, ...]:
    if facts.range_problem is None:
        return ()
    return (Finding(image, None, "image_range", facts.range_problem, Action.KEPT),)


def _report_frames(image: str, facts: ImageFacts) -> tuple[Finding, ...]:
    if not facts.is_animated:
        return ()
    message = "the image has several frames and the first is used: check that the boxes belong to it"
    return (Finding(image, None, "image_animated", message, Action.KEPT),)


def _scale_objects(objects: tuple[ObjectRecord, ...], rendering: _Rendering) -> tuple[ObjectRecord, ...]:
    drawn_px, written_px = rendering.drawn_px, rendering.written_px
    if written_px == drawn_px:
        return objects
    factors = (written_px[0] / drawn_px[0], written_px[1] / drawn_px[1])
    return tuple(item._replace(box_xyxy_px=_scale(item.box_xyxy_px, factors, written_px)) for item in objects)


def _scale(box: BoxXyxyPx, factors: tuple[float, float], written_px: tuple[int, int]) -> BoxXyxyPx:
    # Clipped, as a product of floats may land slightly outside.
    return box.scaled(*factors).clipped(*written_px)
