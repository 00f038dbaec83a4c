"""From a run in ML Metadata to the artifacts that its page shows."""

from __future__ import annotations

from pathlib import Path

from reefline.lineage.records import ArtifactRecord, ExecutionState, RunRecord
from reefline.report.sources import RunSources
from reefline.structures.artifacts import ModelRunFolder, ReviewFolder
from reefline.training.job import identify_training
from reefline.training.resumable_folder import locate_unfinished

_TRAINER = "Trainer"
_MODEL_RUN = "model_run"
# The artifact whose making used all others, in the order in which a run reaches them.
_LAST_FIRST = ("Pusher.pushed_model", "Evaluator.evaluation", "ModelScorer.scores", "EdgeTpuExporter.model")


def find_sources(run: RunRecord | None, config: str) -> RunSources:
    """Return the folders of a run's artifacts; `config` is the effective RunConfig as JSON, "" without one.

    Where training did not finish, the folder is the one that the next run resumes from.
    """
    outputs = run.outputs if run else {}

    def folder(output: str) -> Path | None:
        return outputs[output].folder if output in outputs else None

    unfinished = find_unfinished_training(run)
    return RunSources.from_roots(
        config,
        report=folder("VocExampleGen.report"),
        label_map=folder("VocExampleGen.label_map"),
        statistics=folder("StatisticsGen.statistics"),
        findings=folder("AnnotationValidator.findings"),
        preflight=folder("EdgeTpuPreflight.preflight"),
        model_run=folder("Trainer.model_run") or (unfinished.root if unfinished else None),
        model=folder("EdgeTpuExporter.model"),
        scores=folder("ModelScorer.scores"),
        evaluation=folder("Evaluator.evaluation"),
    )


def find_review(run: RunRecord | None) -> ReviewFolder | None:
    """Return ReviewReport's output, None if the run did not reach it."""
    review = run.outputs.get("ReviewReport.review") if run else None
    return ReviewFolder(review.folder) if review else None


def find_unfinished_training(run: RunRecord | None) -> ModelRunFolder | None:
    """Return the work of a training that is running or was stopped; None if there is none."""
    execution = run.find(_TRAINER) if run else None
    if execution is None or execution.state not in (ExecutionState.RUNNING, ExecutionState.FAILED):
        return None
    inputs, properties = execution.inputs, execution.properties
    if not {"examples", "label_map"} <= inputs.keys():
        return None
    settings, edge_tpu, code, start = (
        str(properties.get(key, "")) for key in ("settings", "edge_tpu", "code", "start")
    )
    identity = identify_training(settings, edge_tpu, code, inputs["examples"].uri, inputs["label_map"].uri, start)
    # TFX's layout: <root>/<component>/<output>/<execution>.
    root = inputs["examples"].folder.parents[2]
    folder = locate_unfinished(root / _TRAINER / _MODEL_RUN / str(execution.id), identity)
    return ModelRunFolder(folder) if folder.is_dir() else None


def find_result(run: RunRecord) -> ArtifactRecord | None:
    """Return the artifact that a run's lineage is told from: the bundle or, without one, the last that it made."""
    outputs = run.outputs
    known = next((outputs[name] for name in _LAST_FIRST if name in outputs), None)
    return known or next(reversed(outputs.values()), None)
