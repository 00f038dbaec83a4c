"""From a finished training run to the files that are judged and shipped."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from reefline.bundle.export_record import EXPORT_FILE, ExportRecord
from reefline.bundle.label_check import check_labels
from reefline.bundle.layout import EDGE_TPU_FILE, FLOAT_FILE, INT8_FILE
from reefline.edgetpu.compile_or_predict import compile_or_predict
from reefline.edgetpu.record import EdgeTpuRecord, PlacementSource
from reefline.errors import CheckpointError
from reefline.export.calibration import make_calibration_inputs, sample_calibration_images
from reefline.od_api import export, model_config
from reefline.od_api.label_map_file import read_label_map
from reefline.settings import EdgeTpuTarget, ExporterSettings
from reefline.structures.artifacts import ModelRunFolder
from reefline.structures.label_map import LabelMap
from reefline.tflite.conversion import convert_to_float, convert_to_int8
from reefline.tflite.labels import LABELS_FILE, format_labels
from reefline.tflite.metadata import add_metadata
from reefline.tflite.postprocess import read_postprocess_op
from reefline.tflite.reader import count_operators
from reefline.training.int8_fine_tuning import Int8FineTuning, fine_tune_for_int8
from reefline.training.job import TrainingJob

FINE_TUNED_DIR = "fine_tuned"


@dataclass(frozen=True)
class ExportInputs:
    """Where the training run, its training records and its label map lie."""

    model_run: Path
    train_records: Path
    label_map: Path


def export_model(
    inputs: ExportInputs, settings: ExporterSettings, target: EdgeTpuTarget, directory: Path
) -> ExportRecord:
    """Write saved_model/ and bundle/ to `directory`.

    With `quantization_aware_steps` the int8 model is made of a fine-tuned checkpoint, which is kept in fine_tuned/, the
    SavedModel of the best one.

    Raises:
        CheckpointError: the training run holds no best checkpoint.
        BundleError: the model knows other classes than the label map.
        RecordError: quantization-aware steps are requested, and the training run's job.json is missing or damaged.
        TrainingDivergedError: a quantization-aware step gave a loss that is NaN or infinite.
    """
    config = model_config.read_pipeline_config(inputs.model_run / "pipeline.config")
    checkpoint = find_best_checkpoint(inputs.model_run)
    label_map = read_label_map(inputs.label_map)
    bundle = directory / "bundle"
    bundle.mkdir(parents=True)
    export.export_saved_model(config, checkpoint, directory / "saved_model")
    with tempfile.TemporaryDirectory() as scratch:
        graph_dir = Path(scratch) / "tflite_graph"
        is_float = target is EdgeTpuTarget.NEVER
        steps = 0 if is_float else settings.quantization_aware_steps
        if steps:
            tuning = _choose_fine_tuning(inputs, checkpoint, steps)
            checkpoint = fine_tune_for_int8(config, tuning, directory / FINE_TUNED_DIR)
        export.export_tflite_graph(config, checkpoint, settings, graph_dir, for_int8=not is_float)
        if is_float:
            edgetpu = _write_float(graph_dir, label_map, bundle)
        else:
            images = sample_calibration_images(inputs.train_records, settings.calibration_images)
            content = convert_to_int8(graph_dir, make_calibration_inputs(config, images))
            edgetpu = _write_int8(content, label_map, settings, bundle)
    size = export.read_input_size(config)
    record = ExportRecord(size.height_px, size.width_px, label_map.names, edgetpu, steps)
    record.write(bundle / EXPORT_FILE)
    return record


def _choose_fine_tuning(inputs: ExportInputs, checkpoint: str, steps: int) -> Int8FineTuning:
    seed = TrainingJob.read(ModelRunFolder(inputs.model_run).job).settings.seed
    return Int8FineTuning(checkpoint, sorted(inputs.train_records.iterdir()), inputs.label_map, steps, seed)


def find_int8_checkpoint(model: Path, model_run: Path) -> str:
    """Return the prefix of the checkpoint that the int8 model was made of; `model` is what `export_model` wrote.

    Raises:
        CheckpointError: there is none.
    """
    import tensorflow as tf

    return tf.train.latest_checkpoint(str(model / FINE_TUNED_DIR)) or find_best_checkpoint(model_run)


def find_best_checkpoint(model_run: Path) -> str:
    """Return the prefix of the checkpoint that a training run kept as its best.

    Raises:
        CheckpointError: there is none.
    """
    import tensorflow as tf

    checkpoint = tf.train.latest_checkpoint(str(model_run / "best"))
    if checkpoint is None:
        raise CheckpointError(f"{model_run}: no checkpoint in best/; the training run is incomplete, train again")
    return str(checkpoint)


def _write_int8(content: bytes, label_map: LabelMap, settings: ExporterSettings, bundle: Path) -> EdgeTpuRecord:
    model = bundle / INT8_FILE
    _write_with_labels(content, label_map, model)
    record, _ = compile_or_predict(model, bundle / EDGE_TPU_FILE, settings.compiler)
    return record


def _write_float(graph_dir: Path, label_map: LabelMap, bundle: Path) -> EdgeTpuRecord:
    model = bundle / FLOAT_FILE
    _write_with_labels(convert_to_float(graph_dir), label_map, model)
    total = count_operators(model)
    return EdgeTpuRecord(
        compiled=False,
        compiler_version=None,
        source=PlacementSource.PREDICTION,
        ops_total=total,
        ops_on_tpu=0,
        ops_on_cpu=total,
        ops_uncertain=0,
        reason="the config says 'edgetpu: never': this is a float model, and float operators do not map",
    )


def _write_with_labels(content: bytes, label_map: LabelMap, model: Path) -> None:
    """Write a TFLite model with its labels inside and labels.txt beside it, and check what was written."""
    model.write_bytes(content)
    op = read_postprocess_op(model)
    roles = {
        op.boxes_index: "location",
        op.classes_index: "category",
        op.scores_index: "score",
        op.count_index: "number of detections",
    }
    outputs = [roles[index] for index in op.model_outputs]
    model.write_bytes(add_metadata(content, model.stem, label_map.names, outputs))
    (model.parent / LABELS_FILE).write_text(format_labels(label_map.names), encoding="utf-8")
    check_labels(label_map, model)
