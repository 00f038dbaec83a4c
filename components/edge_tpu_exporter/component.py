"""The EdgeTpuExporter component."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.experimental.simple_artifacts import File
from tfx.types.standard_artifacts import Examples, Model, ModelRun

from reefline.settings import EdgeTpuTarget, ExporterSettings
from reefline.structures.artifacts import ExamplesFolder, LabelMapFolder, ModelFolder, ModelRunFolder


@component
def EdgeTpuExporter(
    examples: InputArtifact[Examples],
    label_map: InputArtifact[File],
    model_run: InputArtifact[ModelRun],
    model: OutputArtifact[Model],
    settings: Parameter[str],
    edge_tpu: Parameter[str],
    code: Parameter[str],
) -> None:
    """Export the best checkpoint.

    `settings` is an ExporterSettings as JSON, `edge_tpu` an EdgeTpuTarget. `code` only keys the cache. The output is a
    ModelFolder: the SavedModel, the bundle's files, placement.json, and the int8 model's checkpoint if there were
    quantization-aware steps. The artifact's `checkpoint` is the training's best one.
    """
    from reefline.od_api import compat

    compat.apply()
    from reefline.export.export_model import ExportInputs, export_model, find_best_checkpoint

    inputs = ExportInputs(
        model_run=ModelRunFolder(Path(model_run.uri)),
        examples=ExamplesFolder(Path(examples.uri)),
        label_map=LabelMapFolder(Path(label_map.uri)),
    )
    export_model(inputs, ExporterSettings.from_json(settings), EdgeTpuTarget(edge_tpu), ModelFolder(Path(model.uri)))
    model.set_string_custom_property("checkpoint", find_best_checkpoint(inputs.model_run))
