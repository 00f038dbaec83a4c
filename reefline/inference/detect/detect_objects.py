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
from reefline.inference.detect.in_order import run_in_order
from reefline.inference.detect.records import DetectionReport, DetectRequest, ImageResult, Runtime, SeenObject
from reefline.inference.detect.runtime import LoadedModel, load_models
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
    check_min_score(request.min_score)
    manifest = verify_for_use(request.bundle, request.public_key)
    found = find_sources(request.images)
    prepare_out(request.out, found.sources, RESULT_FILE)
    models = load_models(request.bundle, manifest, request.device, request.interpreters)
    min_scores = choose_min_scores(request.min_score, manifest, models[0].labels)
    listener.started(models[0].runtime)
    for problem in found.problems:
        listener.failed(problem)
    results, problems = _detect_all(found.sources, models, _Job(min_scores, request.out), listener)
    report = DetectionReport(
        model=manifest.facts.model,
        version=manifest.version,
        runtime=models[0].runtime,
        min_scores=min_scores,
        images=tuple(results),
        problems=(*found.problems, *problems),
    )
    _write_report(report, request.out / RESULT_FILE)
    return report


@dataclass(frozen=True)
class _Job:
    """What every image needs: the lowest score to report of each class by name, and the output folder."""

    min_scores: Mapping[str, float]
    out: Path


def check_min_score(requested: float | None) -> None:
    """Make sure that a requested score, if any, can be reached.

    Raises:
        UsageError: it is outside 0..1.
    """
    if requested is not None and not 0.0 <= requested <= 1.0:
        raise UsageError(f"--min-score {requested}: expected a number from 0 to 1")


def choose_min_scores(requested: float | None, manifest: Manifest, labels: Sequence[str]) -> Mapping[str, float]:
    """Return the requested score for all classes, or what the bundle suggests for each."""
    if requested is not None:
        return dict.fromkeys(labels, requested)
    suggested = {label: manifest.facts.evaluation.thresholds.get(label) for label in labels}
    return {label: DEFAULT_MIN_SCORE if score is None else score for label, score in suggested.items()}


def _detect_all(
    sources: Sequence[Source], models: Sequence[LoadedModel], job: _Job, listener: Listener
) -> tuple[list[ImageResult], list[str]]:
    results: list[ImageResult] = []
    problems: list[str] = []
    if sources:
        for model in models:
            model.detector.warm_up()

    def detect(model: LoadedModel, source: Source) -> ImageResult | DataError:
        try:
            return _detect_in_file(source, model, job)
        except DataError as error:
            return error

    for outcome in run_in_order(models, detect, sources):
        if isinstance(outcome, ImageResult):
            results.append(outcome)
            listener.seen(outcome)
        else:
            problems.extend(outcome.problems)
            for problem in outcome.problems:
                listener.failed(problem)
    return results, problems


def _detect_in_file(source: Source, model: LoadedModel, job: _Job) -> ImageResult:
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
    timed = model.detector.detect_timed(np.asarray(image))
    objects = name_objects(timed.detections, model.labels, job.min_scores)
    picture = _encode_picture(draw_detections(image, objects, model.labels), source.picture)
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
