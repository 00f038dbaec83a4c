"""The ModelScorer component."""

import json
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Config, Examples, Model, ModelEvaluation, PushedModel

from reefline.inference.score_split import ScoringInputs, score_models

SCORES_FILE = "scores.json"


@component
def ModelScorer(
    examples: InputArtifact[Examples],
    label_map: InputArtifact[Config],
    model: InputArtifact[Model],
    baseline: InputArtifact[PushedModel],
    scores: OutputArtifact[ModelEvaluation],
    code: Parameter[str],
) -> None:
    """Score the float SavedModel, the TFLite model that ships and the serving one on the eval split.

    The thresholds are the Evaluator's: changing one scores nothing again. `code` only keys the cache. The output holds
    scores.json, a `reefline.evaluation.scores.Scores`.
    """
    version = baseline.get_int_custom_property("version")
    inputs = ScoringInputs(
        records=tuple(sorted((Path(examples.uri) / "Split-eval").iterdir())),
        label_map=Path(label_map.uri) / "label_map.pbtxt",
        saved_model=Path(model.uri) / "saved_model",
        candidate=Path(model.uri) / "bundle",
        baseline=Path(baseline.uri) / "bundle" if version else None,
        baseline_version=version,
    )
    text = json.dumps(score_models(inputs).to_json(), indent=2, ensure_ascii=False)
    (Path(scores.uri) / SCORES_FILE).write_text(text + "\n", encoding="utf-8")
