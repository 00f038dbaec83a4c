"""A scored eval split with every kind of error, its thumbnails, and the folders that the quality section reads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from reefline.bundle.export_record import EXPORT_FILE, ExportRecord
from reefline.bundle.layout import INT8_FILE
from reefline.edgetpu.placement_report import PlacedOp, PlacementReport
from reefline.edgetpu.record import PlacementSource
from reefline.evaluation.coco_metrics import compute_metrics
from reefline.evaluation.scores import Precision, Scores
from reefline.images.thumbnails import ThumbnailWriter
from reefline.report.page import assemble_page
from reefline.report.sections.quality import make_quality_section
from reefline.report.sources import RunSources
from reefline.structures.artifacts import ModelFolder, ScoresFolder
from reefline.structures.detections import Detections, GroundTruth
from reefline.structures.split_detections import SplitDetections, SplitImage
from tests.factories_evaluation import make_edgetpu_record

_COLOURS = ("#b9402f", "#3b6fb6", "#d2a12b", "#4d8f4a", "#7d4fa0", "#c96b9a")
_SIZE_PX = (640, 480)


@dataclass(frozen=True)
class Noise:
    """How a model errs: the spread of its boxes as a share of their size, and how often it errs in each way."""

    shift: float = 0.05
    miss: float = 0.1
    confuse: float = 0.05
    repeat: float = 0.05
    invent: float = 1.0


FLOAT, SHIPPED, BASELINE = Noise(), Noise(0.07, 0.12, 0.06, 0.06, 1.5), Noise(0.09, 0.2, 0.12, 0.08, 2.0)


def make_split(
    images: int = 24,
    class_names: tuple[str, ...] = ("cat", "dog", "fish"),
    *,
    with_baseline: bool = True,
    names: tuple[str, ...] = (),
    seed: int = 7,
) -> SplitDetections:
    """Return a split whose three models make every kind of error; `names` are the first images' names."""
    generator = np.random.default_rng(seed)
    truths = tuple(_draw_truth(generator, len(class_names)) for _ in range(images))
    noises = {"float": FLOAT, "shipped": SHIPPED} | ({"baseline": BASELINE} if with_baseline else {})
    files = [*names, *(f"photos/{number:04}.jpg" for number in range(len(names), images))]
    return SplitDetections(
        class_names=class_names,
        images=tuple(SplitImage(name, *_SIZE_PX) for name in files),
        ground_truth=truths,
        detections={
            model: tuple(_detect(generator, truth, noise, len(class_names)) for truth in truths)
            for model, noise in noises.items()
        },
    )


def write_scores(folder: Path, split: SplitDetections, *, thumbnails: bool = True) -> RunSources:
    """Write what ModelScorer leaves for a split, and return it as the sources of a page."""
    folder.mkdir(parents=True, exist_ok=True)
    scores = ScoresFolder(folder)
    make_split_scores(split).write(scores.scores)
    split.write(scores.detections)
    if thumbnails:
        with ThumbnailWriter(scores.thumbnails) as writer:
            for image, truth in zip(split.images, split.ground_truth, strict=True):
                writer.add(image.name, draw_image(image, truth))
    return RunSources(scores=scores)


def write_exported_model(
    folder: Path, ops: tuple[PlacedOp, ...], *, log: str = "", problems: tuple[str, ...] = ()
) -> ModelFolder:
    """Write what EdgeTpuExporter leaves of a model, as far as the Edge TPU section reads it."""
    model = ModelFolder(folder)
    model.bundle.mkdir(parents=True)
    (model.bundle / INT8_FILE).write_bytes(b"x" * 2048)
    ExportRecord(320, 640, ("cat",), make_edgetpu_record(), 0).write(model.bundle / EXPORT_FILE)
    report = PlacementReport.of(ops, source=PlacementSource.PREDICTION, conforms=not problems, problems=problems)
    replace(report, compiler_log=log).write(model.placement)
    return model


def make_split_scores(split: SplitDetections) -> Scores:
    """Return the COCO metrics of every model of a split."""
    metrics = {model: compute_metrics(split.scored(model), split.class_names) for model in split.detections}
    return Scores(
        float_model=metrics["float"],
        int8=metrics["shipped"],
        float_tflite=None,
        baseline=metrics.get("baseline"),
        shipped_precision=Precision.INT8,
        baseline_version=3 if "baseline" in metrics else 0,
    )


def draw_image(image: SplitImage, truth: GroundTruth) -> Image.Image:
    """Return a picture with an ellipse for every object, in its class's colour."""
    picture = Image.new("RGB", (image.width_px, image.height_px), "#d9dcd3")
    draw = ImageDraw.Draw(picture)
    for box, index in zip(truth.boxes_xyxy_px.tolist(), truth.class_indices.tolist(), strict=True):
        draw.ellipse(box, fill=_COLOURS[index % len(_COLOURS)], outline="#2b2b2b", width=3)
    return picture


def _draw_truth(generator: np.random.Generator, classes: int) -> GroundTruth:
    count = int(generator.integers(1, 7))
    sides = generator.uniform(40, 180, (count, 2))
    corners = generator.uniform((0, 0), _SIZE_PX - sides)
    return GroundTruth(np.hstack([corners, corners + sides]), generator.integers(0, classes, count))


def _detect(generator: np.random.Generator, truth: GroundTruth, noise: Noise, classes: int) -> Detections:
    rows = []
    for box, index in zip(truth.boxes_xyxy_px, truth.class_indices, strict=True):
        if generator.random() < noise.miss:
            continue
        sides = np.tile(box[2:] - box[:2], 2)
        found = box + generator.normal(0, noise.shift, 4) * sides
        label = generator.integers(0, classes) if generator.random() < noise.confuse else index
        rows.append((*found, label, generator.beta(8, 2)))
        if generator.random() < noise.repeat:
            rows.append((*(found + 0.1 * sides), label, generator.beta(4, 4)))
    for _ in range(generator.poisson(noise.invent)):
        corner = generator.uniform((0, 0), (_SIZE_PX[0] - 80, _SIZE_PX[1] - 80))
        rows.append(
            (*corner, *(corner + generator.uniform(30, 80, 2)), generator.integers(0, classes), generator.beta(2, 5))
        )
    table = np.array(sorted(rows, key=lambda row: -row[-1]), dtype=np.float64).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4].astype(np.int64), table[:, 5])


def write_quality_page(folder: Path, split: SplitDetections) -> Path:
    """Write a page with the quality section of a split."""
    section = make_quality_section(write_scores(folder, split))
    if section is None:
        raise ValueError("scores were written, so there is a section")
    page = folder / "index.html"
    page.write_text(assemble_page("Quality", [section]), encoding="utf-8")
    return page
