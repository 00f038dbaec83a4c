"""The EdgeTpuExporter component."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Config, Examples, Model, ModelRun

from reefline.settings import EdgeTpuTarget, ExporterSettings


@component
def EdgeTpuExporter(
    examples: InputArtifact[Examples],
    label_map: InputArtifact[Config],
    model_run: InputArtifact[ModelRun],
    model: OutputArtifact[Model],
    settings: Parameter[str],
    edge_tpu: Parameter[str],
    code: Parameter[str],
) -> None:
    """Export the best checkpoint.

    `settings` is an ExporterSettings as JSON, `edge_tpu` an EdgeTpuTarget. `code` only keys the cache. The output holds
    saved_model/ (the OD API's "image_tensor" form), bundle/ (the TFLite files, labels.txt and export.json), and
    fine_tuned/ (the int8 model's checkpoint) where there were quantization-aware steps. The artifact's `checkpoint` is
    the training's best one.
    """
    from reefline.od_api import compat

    compat.apply()
    from reefline.export.export_model import ExportInputs, export_model, find_best_checkpoint

    inputs = ExportInputs(
        model_run=Path(model_run.uri),
        train_records=Path(examples.uri) / "Split-train",
        label_map=Path(label_map.uri) / "label_map.pbtxt",
    )
    export_model(inputs, ExporterSettings.from_json(settings), EdgeTpuTarget(edge_tpu), Path(model.uri))
    model.set_string_custom_property("checkpoint", find_best_checkpoint(inputs.model_run))
