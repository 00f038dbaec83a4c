"""A verification report as aligned lines for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reefline.export.preflight_verdict import describe_placement
from reefline.system.terminal import escape_control, format_bytes, format_duration
from reefline.verification.records import (
    AnchorFit,
    DataFacts,
    MemoryUse,
    ModelFacts,
    RunEstimate,
    Timings,
    VerificationReport,
)

_NAME_WIDTH = 16
_LISTED_CLASSES = 8


def format_report(report: VerificationReport) -> list[str]:
    """Return the lines of a report: what was measured, the problems, and the verdict last."""
    rows = [("config", report.config + (f" (model {report.model_name})" if report.model_name else ""))]
    if report.data is not None:
        rows += _describe_data(report.data)
    if report.model is not None:
        rows += _describe_model(report.model)
    if report.anchors is not None:
        rows.append(("anchor fit", _describe_fit(report.anchors)))
    if report.memory is not None:
        rows += _describe_memory(report.memory)
    if report.timings is not None:
        rows += _describe_timings(report.timings, report.first_loss)
    if report.estimate is not None:
        rows += _describe_estimate(report.estimate)
    if report.edgetpu is not None:
        rows.append(("Edge TPU", describe_placement(report.edgetpu)))
    lines = [f"{name:<{_NAME_WIDTH}}{value}" for name, value in rows]
    lines += [f"error: {message}" for message in report.errors]
    lines += [f"warning: {message}" for message in report.warnings]
    return [escape_control(line) for line in [*lines, _describe_verdict(report)]]


def _describe_verdict(report: VerificationReport) -> str:
    counts = f"{len(report.errors)} error(s), {len(report.warnings)} warning(s)"
    return f"NOT READY: {counts}" if report.errors else f"ready to run: {counts}"


def describe_counts(data: DataFacts) -> str:
    """Return how many images each split has, and how many were sampled."""
    about = "" if data.counts_are_exact else "about "
    test = f", {data.test_images:,} test" if data.test_images else ""
    return (
        f"{data.images:,} images: {about}{data.train_images:,} train, {data.eval_images:,} eval{test}; "
        f"sampled {data.sampled_images} images with {data.sampled_boxes} boxes"
    )


def _describe_data(data: DataFacts) -> Iterator[tuple[str, str]]:
    yield "data", describe_counts(data)
    names = ", ".join(data.classes[:_LISTED_CLASSES])
    more = f" and {len(data.classes) - _LISTED_CLASSES} more" if len(data.classes) > _LISTED_CLASSES else ""
    yield "classes", f"{len(data.classes)}: {names}{more} (from {data.read_annotations:,} annotations)"


def _describe_model(model: ModelFacts) -> Iterator[tuple[str, str]]:
    height_px, width_px = model.input_size_px
    yield "model", f"{model.template}, input {width_px} x {height_px} px"
    yield "parameters", f"{model.trainable_parameters:,} trainable, {model.total_parameters:,} total"
    yield "image batch", format_shape(model.image_batch)
    yield "feature maps", ", ".join(format_shape(shape[1:]) for shape in model.feature_maps)
    yield "anchors", f"{model.anchors:,}"
    yield (
        "predictions",
        f"box encodings {format_shape(model.box_encodings)}, class scores {format_shape(model.class_scores)}",
    )


def _describe_fit(fit: AnchorFit) -> str:
    return (
        f"{fit.missed} of {fit.boxes} boxes ({fit.missed_fraction:.0%}) have no anchor with an IoU of "
        f"{fit.threshold:g} or more; median best IoU {fit.median_best_iou:.2f}"
    )


def _describe_memory(memory: MemoryUse) -> Iterator[tuple[str, str]]:
    free = "" if memory.available is None else f", {format_bytes(memory.available)} free before training"
    peak = "" if memory.peak_resident is None else f"peak {format_bytes(memory.peak_resident)} resident, "
    gpu = "" if memory.gpu_peak is None else f"peak {format_bytes(memory.gpu_peak)} on the GPU, "
    yield "memory", f"{peak}{gpu}training needs about {format_bytes(memory.estimated)}{free}"
    sizes = [("weights", memory.weights), ("optimizer slots", memory.optimizer)]
    known = [f"{name} {format_bytes(size)}" for name, size in sizes if size is not None]
    if known:
        yield "", ", ".join(known)


def _describe_timings(timings: Timings, first_loss: float | None) -> Iterator[tuple[str, str]]:
    loss = "" if first_loss is None else f", loss {first_loss:.3f}"
    yield "start", f"{timings.start_s:.1f} s (TensorFlow and the model)"
    yield "first step", f"{timings.first_step_s:.1f} s (including tracing){loss}"
    yield "step", f"{timings.step_s:.3f} s (median)"
    yield (
        "evaluation",
        f"{timings.evaluation_image_s:.3f} s per image, plus {timings.first_evaluation_s:.1f} s once for tracing",
    )


def _describe_estimate(estimate: RunEstimate) -> Iterator[tuple[str, str]]:
    yield (
        "training",
        f"about {format_duration(estimate.total_s)}: start {format_duration(estimate.start_s)}, steps "
        f"{format_duration(estimate.training_s)} ({estimate.epochs:.1f} epochs), {estimate.evaluations} evaluations "
        f"{format_duration(estimate.evaluation_s)}",
    )


def format_shape(shape: Sequence[int]) -> str:
    """Return a shape as "16 x 300 x 300 x 3"."""
    return " x ".join(map(str, shape))
