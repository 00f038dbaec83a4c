"""The ReviewReport component."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.experimental.simple_artifacts import File
from tfx.types.standard_artifacts import (
    ExampleAnomalies,
    ExampleStatistics,
    Model,
    ModelEvaluation,
    ModelRun,
)

from reefline.config.run_config import RunConfig
from reefline.report.review import write_review
from reefline.report.sources import RunSources
from reefline.structures.artifacts import ReviewFolder


@component
def ReviewReport(
    report: InputArtifact[ExampleAnomalies],
    label_map: InputArtifact[File],
    statistics: InputArtifact[ExampleStatistics],
    findings: InputArtifact[ExampleAnomalies],
    model_run: InputArtifact[ModelRun],
    model: InputArtifact[Model],
    scores: InputArtifact[ModelEvaluation],
    evaluation: InputArtifact[ModelEvaluation],
    review: OutputArtifact[ModelEvaluation],
    config: Parameter[str],
    code: Parameter[str],
    preflight: InputArtifact[ModelEvaluation] = None,
) -> None:
    """Write the parts of the review page that follow from the artifacts.

    `config` is the effective RunConfig as JSON; `code` only keys the cache. `preflight` is missing for a model that is
    never compiled. The output is a ReviewFolder. What differs between a run and one that finds everything in the cache,
    such as durations, is added by what runs the pipeline.
    """
    sources = RunSources.from_roots(
        config,
        report=Path(report.uri),
        label_map=Path(label_map.uri),
        statistics=Path(statistics.uri),
        findings=Path(findings.uri),
        preflight=Path(preflight.uri) if preflight is not None else None,
        model_run=Path(model_run.uri),
        model=Path(model.uri),
        scores=Path(scores.uri),
        evaluation=Path(evaluation.uri),
    )
    write_review(sources, RunConfig.from_json(config).model_name, ReviewFolder(Path(review.uri)))
