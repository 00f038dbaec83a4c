"""What happens to a model on the Edge TPU: the compiler's answer if it gives one, otherwise the prediction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reefline.edgetpu.analysis import ModelAnalysis, analyze_graph
from reefline.edgetpu.compiler.adapter import compile_for_edge_tpu
from reefline.edgetpu.compiler.outcome import Compiled, NotCompiled, Outcome, Rejected
from reefline.edgetpu.placement import place_as_compiled
from reefline.edgetpu.placement_report import PlacementReport, PlacementSummary, withdraw
from reefline.edgetpu.record import EdgeTpuRecord, PlacementSource
from reefline.errors import BundleError
from reefline.settings import CompilerSettings
from reefline.tflite.graph import Graph
from reefline.tflite.reader import read_graph


def compile_or_predict(model: Path, target: Path, settings: CompilerSettings) -> tuple[EdgeTpuRecord, PlacementReport]:
    """Compile `model` to `target` if a compiler is available, and return the counts and the placement of each operator.

    `target` is written only if the record's `compiled` is True.

    Raises:
        BundleError: the file is not a TFLite model.
    """
    graph = read_graph(model)
    analysis = analyze_graph(model, graph)
    outcome = compile_for_edge_tpu(model, target, ops_total=analysis.summary.total, settings=settings)
    record = _make_record(outcome, analysis.summary)
    predicted = report_prediction(analysis)
    if isinstance(outcome, Compiled):
        report = _report_compiled(graph, target, predicted)
    elif isinstance(outcome, Rejected):
        report = _report_rejected(outcome, predicted)
    else:
        report = predicted
    return record, replace(report, compiler_log=outcome.printed)


def report_prediction(analysis: ModelAnalysis) -> PlacementReport:
    """Return the report of a model that no compiler has placed."""
    return PlacementReport.of(
        analysis.ops, source=PlacementSource.PREDICTION, conforms=analysis.conforms, problems=analysis.problems
    )


def _make_record(outcome: Outcome, predicted: PlacementSummary) -> EdgeTpuRecord:
    if isinstance(outcome, NotCompiled):
        share = f"{predicted.edgetpu} of {predicted.total} operators"
        return EdgeTpuRecord(
            compiled=False,
            compiler_version=outcome.compiler_version,
            source=PlacementSource.PREDICTION,
            ops_total=predicted.total,
            ops_on_tpu=predicted.edgetpu,
            ops_on_cpu=predicted.cpu,
            ops_uncertain=predicted.uncertain,
            reason=f"{outcome.reason}; predicted to run on the Edge TPU: {share}",
        )
    total = outcome.ops_total
    on_tpu, on_cpu = (outcome.ops_on_tpu, outcome.ops_on_cpu) if isinstance(outcome, Compiled) else (0, total)
    return EdgeTpuRecord(
        compiled=isinstance(outcome, Compiled),
        compiler_version=outcome.compiler_version,
        source=PlacementSource.COMPILER,
        ops_total=total,
        ops_on_tpu=on_tpu,
        ops_on_cpu=on_cpu,
        ops_uncertain=max(0, total - on_tpu - on_cpu),
        reason=outcome.reason,
    )


def _report_compiled(graph: Graph, target: Path, predicted: PlacementReport) -> PlacementReport:
    """Return the placement in the compiled file, or the prediction with a problem if the file does not match."""
    try:
        ops = place_as_compiled(graph, read_graph(target), predicted.ops)
        problem = f"{target.name}: its operators do not match the int8 model's; the placements are predicted"
    except BundleError as error:
        ops, problem = None, f"{error}; the placements are predicted"
    if ops is None:
        return PlacementReport.of(
            predicted.ops, source=PlacementSource.PREDICTION, conforms=True, problems=(*predicted.problems, problem)
        )
    return PlacementReport.of(ops, source=PlacementSource.COMPILER, conforms=True, problems=())


def _report_rejected(outcome: Rejected, predicted: PlacementReport) -> PlacementReport:
    return PlacementReport.of(
        withdraw(predicted.ops, outcome.reason),
        source=PlacementSource.COMPILER,
        conforms=False,
        problems=(outcome.reason, *predicted.problems),
    )
