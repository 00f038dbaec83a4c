"""The ModelScorer component."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.experimental.simple_artifacts import File
from tfx.types.standard_artifacts import Examples, Model, ModelEvaluation, PushedModel

from reefline.inference.score_split import ScoringInputs, score_models
from reefline.structures.artifacts import BaselineFolder, ExamplesFolder, LabelMapFolder, ModelFolder, ScoresFolder


@component
def ModelScorer(
    examples: InputArtifact[Examples],
    label_map: InputArtifact[File],
    model: InputArtifact[Model],
    baseline: InputArtifact[PushedModel],
    scores: OutputArtifact[ModelEvaluation],
    code: Parameter[str],
) -> None:
    """Score the float SavedModel, the shipped TFLite model and the serving one on the eval split.

    The thresholds are the Evaluator's: changing one scores nothing again. `code` only keys the cache. The output is a
    ScoresFolder.
    """
    candidate = ModelFolder(Path(model.uri))
    version = baseline.get_int_custom_property("version")
    inputs = ScoringInputs(
        records=ExamplesFolder(Path(examples.uri)).files("eval"),
        label_map=LabelMapFolder(Path(label_map.uri)).label_map,
        saved_model=candidate.saved_model,
        candidate=candidate.bundle,
        baseline=BaselineFolder(Path(baseline.uri)).bundle if version else None,
        baseline_version=version,
    )
    folder = ScoresFolder(Path(scores.uri))
    scored = score_models(inputs, folder.thumbnails)
    scored.detections.write(folder.detections)
    scored.scores.write(folder.scores)
