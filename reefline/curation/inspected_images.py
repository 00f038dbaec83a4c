"""The images of a folder as `reefline prepare` inspects and writes them. Worker processes import this module."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from reefline.curation.data_folder import FolderImage
from reefline.curation.output_folder import write_file
from reefline.curation.prepared_files import WrittenFile
from reefline.data.annotation_file import read_annotation
from reefline.data.image_record import ImageRecord
from reefline.data.inspection import ImageLimits, inspect_candidate
from reefline.data.matching import Candidate
from reefline.data.rendering import load_jpeg
from reefline.findings import Action, Finding
from reefline.formats.voc import format_voc_annotation
from reefline.images.codec import ImageProblemError, decode_small
from reefline.images.look_alikes import Look, Turns, make_look
from reefline.structures.annotation import AnnotatedObject, Annotation

_LOOK_SIDE_PX = 64
# Changes with the way images are written, so that --resume writes them again.
_RENDERING_VERSION = 1


@dataclass(frozen=True)
class InspectedImage:
    """An image that can be written, and what is known about it.

    `labels` count the image: those of its boxes, or of its folder. `objects` are the boxes to write, in px of the
    written image; None without an annotation. `look` is None unless asked for.
    """

    source: FolderImage
    record: ImageRecord
    labels: frozenset[str]
    objects: tuple[AnnotatedObject, ...] | None
    verified: bool | None
    look: Look | None
    findings: tuple[Finding, ...]

    def format_xml(self, filename: str) -> bytes:
        """Return the annotation of the written image, which is called `filename`."""
        record = self.record
        return format_voc_annotation(
            Annotation(filename, record.width_px, record.height_px, self.objects or (), self.verified)
        )


@dataclass(frozen=True)
class LeftOutImage:
    """An image that cannot be used, and why."""

    image: str
    findings: tuple[Finding, ...]


def inspect_source(
    root: Path, source: FolderImage, *, limits: ImageLimits, with_look: bool
) -> InspectedImage | LeftOutImage:
    """Read and check an image and its annotation, as ingestion does; problems with the data become findings."""
    # Without an annotation every rule on boxes passes, and the orientation applies.
    annotation = Annotation("", None, None) if source.xml is None else read_annotation(root, source.xml)
    if isinstance(annotation, Finding):
        return LeftOutImage(source.image, (annotation,))
    candidate = Candidate(source.image, source.xml or "", source.split, annotation)
    inspection = inspect_candidate(root, candidate, limits, None)
    record, findings = inspection.record, inspection.findings
    if record is None:
        return LeftOutImage(source.image, findings)
    if any(finding.rule == "exif_rotated" for finding in findings):
        # The orientation is settled now: a tag that stays in the file would raise the question again.
        record = record._replace(passes_through=False)
    if source.xml is None:
        findings = tuple(finding for finding in findings if finding.rule != "exif_rotated")
    labels = {item.label for item in record.objects}
    if source.xml is None and source.label is not None:
        labels = {source.label}
    return InspectedImage(
        source=source,
        record=record,
        labels=frozenset(labels),
        objects=None if source.xml is None else _restore_scores(record, annotation),
        verified=annotation.verified,
        look=_look_at(root, source.image, limits) if with_look else None,
        findings=findings,
    )


@dataclass(frozen=True)
class WriteJob:
    """An image to write to `name`, relative to the output folder."""

    record: ImageRecord
    name: str

    @property
    def key(self) -> str:
        """What the written file follows from: equal keys give equal files."""
        record = self.record
        facts = [_RENDERING_VERSION, record.sha256, record.width_px, record.height_px]
        text = json.dumps([*facts, record.apply_exif, record.passes_through])
        return hashlib.sha256(text.encode()).hexdigest()


def write_image(root: Path, out: Path, job: WriteJob) -> WrittenFile | LeftOutImage:
    """Write one image as an RGB JPEG; one that cannot be decoded completely is left out.

    Raises:
        DataError: the image has changed or disappeared since it was inspected.
        OSError: the file cannot be written.
    """
    try:
        content = load_jpeg(root, job.record)
    except ImageProblemError as error:
        finding = Finding(job.record.image, None, error.rule, str(error), Action.DROPPED_IMAGE)
        return LeftOutImage(job.record.image, (finding,))
    write_file(out / job.name, content)
    return WrittenFile(job.name, job.key, len(content), job.record.image)


def _restore_scores(record: ImageRecord, annotation: Annotation) -> tuple[AnnotatedObject, ...]:
    return tuple(
        AnnotatedObject(
            label=item.label,
            box_xyxy_px=item.box_xyxy_px,
            difficult=item.difficult,
            truncated=item.truncated,
            pose=item.pose,
            score=annotation.objects[item.object_index].score,
        )
        for item in record.objects
    )


def _look_at(root: Path, image: str, limits: ImageLimits) -> Look | None:
    try:
        content = (root / image).read_bytes()
        small, _ = decode_small(
            content, apply_exif=True, max_image_pixels=limits.max_image_pixels, side_px=_LOOK_SIDE_PX
        )
    except (OSError, ImageProblemError):
        return None
    return make_look(small, Turns())
