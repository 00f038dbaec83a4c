"""The Evaluator component."""

from pathlib import Path

from tfx.components.evaluator import constants
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Model, ModelBlessing, ModelEvaluation, ModelRun

from reefline.bundle.export_record import EXPORT_FILE, ExportRecord
from reefline.evaluation.curves import compute_curves, suggest_thresholds
from reefline.evaluation.gate import judge
from reefline.evaluation.report import EvaluationReport, GateVerdict
from reefline.evaluation.scores import Scores
from reefline.export.quantization_diagnosis import ExportedModel, diagnose_quantization
from reefline.settings import ExporterSettings, GateSettings
from reefline.structures.artifacts import (
    EvaluationFolder,
    ModelFolder,
    ModelRunFolder,
    ScoresFolder,
)
from reefline.structures.split_detections import SHIPPED, SplitDetections


@component
def Evaluator(
    scores: InputArtifact[ModelEvaluation],
    model: InputArtifact[Model],
    model_run: InputArtifact[ModelRun],
    evaluation: OutputArtifact[ModelEvaluation],
    blessing: OutputArtifact[ModelBlessing],
    settings: Parameter[str],
    exporter_settings: Parameter[str],
    code: Parameter[str],
) -> None:
    """Ask the gate whether the candidate may be pushed, and suggest a confidence threshold per class.

    `settings` is a GateSettings as JSON; `code` only keys the cache. Training run and `exporter_settings`, an
    ExporterSettings as JSON, are what the model was made from: they are used only where its quantization costs too
    much. `evaluation` is an EvaluationFolder. `blessing` is what TFX's own Evaluator makes: `blessed` (0 or 1),
    `current_model`, `current_model_id`, and an empty file BLESSED or NOT_BLESSED.
    """
    measured = Scores.read(ScoresFolder(Path(scores.uri)).scores)
    exported = ExportRecord.read(ModelFolder(Path(model.uri)).bundle / EXPORT_FILE)
    gate = judge(measured, exported.edgetpu, GateSettings.from_json(settings))
    detected = SplitDetections.read(ScoresFolder(Path(scores.uri)).detections)
    thresholds = suggest_thresholds(compute_curves(detected.scored(SHIPPED), detected.class_names))
    report = EvaluationReport(measured, gate, thresholds=thresholds)
    if report.is_worth_a_diagnosis:
        made = ExportedModel(ModelFolder(Path(model.uri)), ModelRunFolder(Path(model_run.uri)))
        report = report.explain(diagnose_quantization(made, ExporterSettings.from_json(exporter_settings)))
    report.write(EvaluationFolder(Path(evaluation.uri)).evaluation)
    blessed = report.verdict is GateVerdict.BLESSED
    blessing.set_int_custom_property(
        constants.ARTIFACT_PROPERTY_BLESSED_KEY, constants.BLESSED_VALUE if blessed else constants.NOT_BLESSED_VALUE
    )
    blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, model.uri)
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)
    (Path(blessing.uri) / (constants.BLESSED_FILE_NAME if blessed else constants.NOT_BLESSED_FILE_NAME)).touch()
