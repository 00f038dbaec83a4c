"""From a finished training run to the files that are judged and shipped."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from reefline.bundle.export_record import EXPORT_FILE, ExportRecord
from reefline.bundle.label_check import check_labels
from reefline.bundle.layout import EDGE_TPU_FILE, FLOAT_FILE, INT8_FILE
from reefline.edgetpu.analysis import analyze_model
from reefline.edgetpu.compile_or_predict import compile_or_predict, report_prediction
from reefline.edgetpu.placement_report import PlacementReport
from reefline.edgetpu.record import EdgeTpuRecord, PlacementSource
from reefline.errors import CheckpointError
from reefline.export.calibration import (
    make_calibration_inputs,
    sample_calibration_images,
    write_calibration_images,
)
from reefline.od_api import export, model_config
from reefline.od_api.label_map_file import read_label_map
from reefline.settings import EdgeTpuTarget, ExporterSettings
from reefline.structures.artifacts import ExamplesFolder, LabelMapFolder, ModelFolder, ModelRunFolder
from reefline.structures.label_map import LabelMap
from reefline.tflite.conversion import convert_to_float, convert_to_int8
from reefline.tflite.labels import LABELS_FILE, format_labels
from reefline.tflite.metadata import add_metadata
from reefline.tflite.postprocess import parse_postprocess_op
from reefline.training.int8_fine_tuning import Int8FineTuning, fine_tune_for_int8
from reefline.training.job import TrainingJob

_TRAIN_SPLIT = "train"


@dataclass(frozen=True)
class ExportInputs:
    """The training run, its examples and its label map."""

    model_run: ModelRunFolder
    examples: ExamplesFolder
    label_map: LabelMapFolder


def export_model(
    inputs: ExportInputs, settings: ExporterSettings, target: EdgeTpuTarget, folder: ModelFolder
) -> ExportRecord:
    """Write the SavedModel, the bundle's files and placement.json to `folder`.

    With `quantization_aware_steps`, the int8 model is made from a fine-tuned checkpoint, which is kept in
    `folder.fine_tuned`, and the SavedModel from the best one. The calibration images are kept for a diagnosis.

    Raises:
        CheckpointError: the training run has no best checkpoint.
        BundleError: the model's classes differ from the label map.
        RecordError: quantization-aware steps are set, and the training run's job.json is missing or damaged.
        TrainingDivergedError: a quantization-aware step gave a loss that is NaN or infinite.
    """
    config = model_config.read_pipeline_config(inputs.model_run.pipeline_config)
    checkpoint = find_best_checkpoint(inputs.model_run)
    label_map = read_label_map(inputs.label_map.label_map)
    folder.bundle.mkdir(parents=True)
    export.export_saved_model(config, checkpoint, folder.saved_model)
    with tempfile.TemporaryDirectory() as scratch:
        graph_dir = Path(scratch) / "tflite_graph"
        is_float = target is EdgeTpuTarget.NEVER
        steps = 0 if is_float else settings.quantization_aware_steps
        if steps:
            tuning = _choose_fine_tuning(inputs, checkpoint, steps)
            checkpoint = fine_tune_for_int8(config, tuning, folder.fine_tuned)
        export.export_tflite_graph(config, checkpoint, settings, graph_dir, for_int8=not is_float)
        if is_float:
            edgetpu, placement = _write_float(convert_to_float(graph_dir), label_map, folder.bundle)
        else:
            images = sample_calibration_images(inputs.examples.files(_TRAIN_SPLIT), settings.calibration_images)
            write_calibration_images(folder.calibration, images)
            content = convert_to_int8(graph_dir, make_calibration_inputs(config, images))
            edgetpu, placement = _write_int8(content, label_map, settings, folder.bundle)
    placement.write(folder.placement)
    size = export.read_input_size(config)
    record = ExportRecord(size.height_px, size.width_px, label_map.names, edgetpu, steps)
    record.write(folder.bundle / EXPORT_FILE)
    return record


def find_int8_checkpoint(model: ModelFolder, model_run: ModelRunFolder) -> str:
    """Return the prefix of the checkpoint that the int8 model was made from; `model` is what `export_model` wrote.

    Raises:
        CheckpointError: the training run has no best checkpoint.
    """
    import tensorflow as tf

    return tf.train.latest_checkpoint(str(model.fine_tuned)) or find_best_checkpoint(model_run)


def find_best_checkpoint(model_run: ModelRunFolder) -> str:
    """Return the prefix of a training run's best checkpoint.

    Raises:
        CheckpointError: it has none.
    """
    import tensorflow as tf

    checkpoint = tf.train.latest_checkpoint(str(model_run.best))
    if checkpoint is None:
        raise CheckpointError(f"{model_run.root}: no checkpoint in best/; the training run is incomplete, train again")
    return str(checkpoint)


def write_labelled_model(content: bytes, label_map: LabelMap, path: Path) -> None:
    """Write a TFLite detector with its labels inside, and labels.txt next to it; check what was written.

    Raises:
        BundleError: the model's classes differ from the label map.
    """
    op = parse_postprocess_op(content, path)
    roles = {
        op.boxes_index: "location",
        op.classes_index: "category",
        op.scores_index: "score",
        op.count_index: "number of detections",
    }
    outputs = [roles[index] for index in op.model_outputs]
    path.write_bytes(add_metadata(content, path.stem, label_map.names, outputs))
    (path.parent / LABELS_FILE).write_text(format_labels(label_map.names), encoding="utf-8")
    check_labels(label_map, path)


def _choose_fine_tuning(inputs: ExportInputs, checkpoint: str, steps: int) -> Int8FineTuning:
    seed = TrainingJob.read(inputs.model_run.job).settings.seed
    return Int8FineTuning(checkpoint, inputs.examples.files(_TRAIN_SPLIT), inputs.label_map.label_map, steps, seed)


def _write_int8(
    content: bytes, label_map: LabelMap, settings: ExporterSettings, bundle: Path
) -> tuple[EdgeTpuRecord, PlacementReport]:
    write_labelled_model(content, label_map, bundle / INT8_FILE)
    return compile_or_predict(bundle / INT8_FILE, bundle / EDGE_TPU_FILE, settings.compiler)


def _write_float(content: bytes, label_map: LabelMap, bundle: Path) -> tuple[EdgeTpuRecord, PlacementReport]:
    write_labelled_model(content, label_map, bundle / FLOAT_FILE)
    placement = report_prediction(analyze_model(bundle / FLOAT_FILE))
    record = EdgeTpuRecord(
        compiled=False,
        compiler_version=None,
        source=PlacementSource.PREDICTION,
        ops_total=placement.summary.total,
        ops_on_tpu=0,
        ops_on_cpu=placement.summary.total,
        ops_uncertain=0,
        reason="the config sets 'edgetpu: never': this is a float model, and float operators do not map",
    )
    return record, placement
