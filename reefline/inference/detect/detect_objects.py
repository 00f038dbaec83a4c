"""From a bundle and images to pictures and detections.json."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from reefline.bundle.checking import verify_for_use
from reefline.bundle.manifest import Manifest
from reefline.errors import DataError, UsageError
from reefline.images.codec import ImageProblemError, decode_upright
from reefline.inference.detect.drawing import draw_detections
from reefline.inference.detect.records import DetectionReport, DetectRequest, ImageResult, Runtime, SeenObject
from reefline.inference.detect.runtime import LoadedModel, load_model
from reefline.inference.detect.sources import Source, find_sources, prepare_out
from reefline.structures.boxes import BoxXyxyPx
from reefline.structures.detections import DEFAULT_MIN_SCORE, Detections
from reefline.system.files import show_path, write_whole

RESULT_FILE = "detections.json"
_JPEG_QUALITY = 95


class Listener:
    """Receives progress; the base class does nothing."""

    def started(self, runtime: Runtime) -> None:
        """The model is loaded."""

    def seen(self, result: ImageResult) -> None:
        """An image is done and its picture written."""

    def failed(self, problem: str) -> None:
        """An argument names no image, or an image cannot be used; the others still run."""


def detect_objects(request: DetectRequest, listener: Listener | None = None) -> DetectionReport:
    """Run a bundle on images, write a picture for each, and write and return detections.json.

    The bundle is verified first. An unusable image, or a picture that cannot be written, is a problem in the report;
    all others still run.

    Raises:
        BundleError: the bundle is missing, damaged or not signed, has files that its manifest does not list, or cannot
            be run.
        UsageError: the score is outside 0..1, the public key cannot be read, detections.json cannot be written, or the
            Edge TPU is requested but cannot be used.
    """
    listener = listener or Listener()
    if request.min_score is not None and not 0.0 <= request.min_score <= 1.0:
        raise UsageError(f"--min-score {request.min_score}: expected a number from 0 to 1")
    manifest = verify_for_use(request.bundle, request.public_key)
    found = find_sources(request.images)
    prepare_out(request.out, found.sources, RESULT_FILE)
    model = load_model(request.bundle, manifest, request.device)
    min_scores = choose_min_scores(request.min_score, manifest, model.labels)
    listener.started(model.runtime)
    for problem in found.problems:
        listener.failed(problem)
    results, problems = _detect_all(found.sources, _Job(model, min_scores, request.out), listener)
    report = DetectionReport(
        model=manifest.facts.model,
        version=manifest.version,
        runtime=model.runtime,
        min_scores=min_scores,
        images=tuple(results),
        problems=(*found.problems, *problems),
    )
    _write_report(report, request.out / RESULT_FILE)
    return report


@dataclass(frozen=True)
class _Job:
    """What every image needs: the model, the lowest score to report of each class by name, and the output folder."""

    model: LoadedModel
    min_scores: Mapping[str, float]
    out: Path


def choose_min_scores(requested: float | None, manifest: Manifest, labels: Sequence[str]) -> Mapping[str, float]:
    """Return the requested score for all classes, or what the bundle suggests for each."""
    if requested is not None:
        return dict.fromkeys(labels, requested)
    suggested = {label: manifest.facts.evaluation.thresholds.get(label) for label in labels}
    return {label: DEFAULT_MIN_SCORE if score is None else score for label, score in suggested.items()}


def _detect_all(sources: Sequence[Source], job: _Job, listener: Listener) -> tuple[list[ImageResult], list[str]]:
    results: list[ImageResult] = []
    problems: list[str] = []
    if sources:
        job.model.detector.warm_up()
    for source in sources:
        try:
            result = _detect_in_file(source, job)
        except DataError as error:
            problems.extend(error.problems)
            for problem in error.problems:
                listener.failed(problem)
        else:
            results.append(result)
            listener.seen(result)
    return results, problems


def _detect_in_file(source: Source, job: _Job) -> ImageResult:
    """Detect in one image and write its picture.

    Raises:
        DataError: the file cannot be read or is not an image, or its picture cannot be written.
    """
    import numpy as np

    try:
        image = decode_upright(source.path.read_bytes())
    except (OSError, ImageProblemError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise DataError(f"{source.name}: {reason}") from error
    timed = job.model.detector.detect_timed(np.asarray(image))
    objects = name_objects(timed.detections, job.model.labels, job.min_scores)
    picture = _encode_picture(draw_detections(image, objects, job.model.labels), source.picture)
    try:
        write_whole(job.out / source.picture, picture)
    except OSError as error:
        path = show_path(job.out / source.picture)
        raise DataError(f"{source.name}: cannot write its picture {path} ({error.strerror})") from error
    return ImageResult(source.name, image.width, image.height, objects, timed.latency_ms, source.picture)


def name_objects(
    detections: Detections, labels: Sequence[str], min_scores: Mapping[str, float]
) -> tuple[SeenObject, ...]:
    """Return the detections that reach their class's lowest score, with their class's name, best score first."""
    rows = zip(detections.scores, detections.class_indices, detections.boxes_xyxy_px, strict=True)
    objects = (
        SeenObject(labels[int(index)], float(score), BoxXyxyPx(*(float(side) for side in box)))
        for score, index, box in rows
        if score >= min_scores[labels[int(index)]]
    )
    return tuple(sorted(objects, key=lambda seen: -seen.score))


def _encode_picture(picture: Image.Image, name: str) -> bytes:
    """Return the picture as JPEG if its file's name ends in .jpg, otherwise as PNG."""
    buffer = io.BytesIO()
    if name.endswith(".jpg"):
        picture.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    else:
        picture.save(buffer, "PNG")
    return buffer.getvalue()


def _write_report(report: DetectionReport, path: Path) -> None:
    """Write detections.json.

    Raises:
        UsageError: the file cannot be written, for example on a full disk.
    """
    try:
        write_whole(path, json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise UsageError(f"{path}: cannot write it ({error.strerror}); name another --out") from error
