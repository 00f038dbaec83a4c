"""The Evaluator component."""

import json
from pathlib import Path

from tfx.components.evaluator import constants
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Examples, Model, ModelBlessing, ModelEvaluation, ModelRun

from reefline.bundle.export_record import EXPORT_FILE, ExportRecord
from reefline.evaluation.gate import EvaluationReport, Verdict, judge
from reefline.evaluation.scores import Scores
from reefline.export.quantization_diagnosis import ExportedModel, diagnose_quantization
from reefline.settings import ExporterSettings, GateSettings
from reefline.structures.artifacts import ExamplesFolder, ModelFolder, ModelRunFolder


@component
def Evaluator(
    scores: InputArtifact[ModelEvaluation],
    model: InputArtifact[Model],
    model_run: InputArtifact[ModelRun],
    examples: InputArtifact[Examples],
    evaluation: OutputArtifact[ModelEvaluation],
    blessing: OutputArtifact[ModelBlessing],
    settings: Parameter[str],
    exporter_settings: Parameter[str],
    code: Parameter[str],
) -> None:
    """Ask the gate whether the candidate may be pushed.

    `settings` is a GateSettings as JSON; `code` only keys the cache. Training run, examples and `exporter_settings`, an
    ExporterSettings as JSON, are what the model was made of: they are looked at only where its quantization costs too
    much. `evaluation` holds evaluation.json, a `reefline.evaluation.gate.EvaluationReport`. `blessing` is what TFX's
    own Evaluator makes: `blessed` (0 or 1), `current_model`, `current_model_id`, and an empty file BLESSED or
    NOT_BLESSED.
    """
    measured = Scores.from_json(json.loads((Path(scores.uri) / "scores.json").read_text(encoding="utf-8")))
    exported = ExportRecord.read(Path(model.uri) / "bundle" / EXPORT_FILE)
    report = EvaluationReport(measured, judge(measured, exported.edgetpu, GateSettings.from_json(settings)))
    if report.is_worth_a_diagnosis:
        made = ExportedModel(
            ModelFolder(Path(model.uri)), ModelRunFolder(Path(model_run.uri)), ExamplesFolder(Path(examples.uri))
        )
        report = report.explain(diagnose_quantization(made, ExporterSettings.from_json(exporter_settings)))
    text = json.dumps(report.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
    (Path(evaluation.uri) / "evaluation.json").write_text(text + "\n", encoding="utf-8")
    blessed = report.verdict is Verdict.BLESSED
    blessing.set_int_custom_property(
        constants.ARTIFACT_PROPERTY_BLESSED_KEY, constants.BLESSED_VALUE if blessed else constants.NOT_BLESSED_VALUE
    )
    blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, model.uri)
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)
    (Path(blessing.uri) / (constants.BLESSED_FILE_NAME if blessed else constants.NOT_BLESSED_FILE_NAME)).touch()
