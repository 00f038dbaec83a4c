"""What becomes of an int8 model on the Edge TPU: the compiler's word where there is one, else the prediction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reefline.edgetpu.analysis import ModelAnalysis, analyze_model
from reefline.edgetpu.compiler.adapter import compile_for_edge_tpu
from reefline.edgetpu.record import EdgeTpuRecord, PlacementSource
from reefline.settings import CompilerSettings


def compile_or_predict(model: Path, target: Path, settings: CompilerSettings) -> tuple[EdgeTpuRecord, ModelAnalysis]:
    """Compile `model` to `target` where the compiler is there; return what came of it, and the prediction.

    `target` is written only if the record says `compiled`.

    Raises:
        BundleError: the file is not a TFLite model.
    """
    analysis = analyze_model(model)
    record = compile_for_edge_tpu(model, target, ops_total=analysis.summary.total, settings=settings)
    if record.source is PlacementSource.PREDICTION:
        record = predict_placement(record, analysis)
    return record, analysis


def predict_placement(record: EdgeTpuRecord, analysis: ModelAnalysis) -> EdgeTpuRecord:
    """Return the record of a model that no compiler has placed, with the numbers of the offline prediction."""
    summary = analysis.summary
    return replace(
        record,
        ops_on_tpu=summary.edgetpu,
        ops_on_cpu=summary.cpu,
        ops_uncertain=summary.uncertain,
        reason=f"{record.reason}; predicted to run on the Edge TPU: {summary.edgetpu} of {summary.total} operators",
    )
