"""The real loop and the real exporters on a few drawn images."""

import json
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from reefline.bundle.export_record import ExportRecord
from reefline.edgetpu.analysis import analyze_model
from reefline.edgetpu.placement_report import PlacementReport
from reefline.edgetpu.record import PlacementSource
from reefline.errors import BundleError, CheckpointError, TrainingDivergedError
from reefline.export.export_model import ExportInputs, export_model
from reefline.export.preflight import quantize_untrained
from reefline.export.quantization_diagnosis import ExportedModel, diagnose_quantization
from reefline.od_api import compat, model_config
from reefline.od_api.building import build_model
from reefline.settings import Augmentation, EdgeTpuTarget, ExporterSettings, TrainerSettings
from reefline.structures.artifacts import ExamplesFolder, LabelMapFolder, ModelFolder, ModelRunFolder
from reefline.tflite.metadata import read_embedded_labels
from reefline.tflite.postprocess import read_postprocess_op
from reefline.tflite.reader import count_operators, read_graph
from reefline.training.job import TrainingJob
from reefline.training.report import StopReason, TrainingReport
from tests.factories_training import LABELS, build_config, draw_example, make_tiny_settings, write_splits

SETTINGS = make_tiny_settings(
    num_steps=6,
    steps_per_eval=3,
    learning_rate=0.02,
    sample_images=1,
    augmentations=(Augmentation.HORIZONTAL_FLIP,),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compat.apply()
    return write_splits(tmp_path_factory.mktemp("data"), train=12, evaluation=4)


def train(data: Path, settings: TrainerSettings, directory: Path) -> TrainingReport:
    from reefline.training.loop import train_detector

    config = build_config(data, settings)
    directory.mkdir(parents=True, exist_ok=True)
    model_config.write_pipeline_config(config, directory / "pipeline.config")
    return train_detector(config, TrainingJob(settings, "", directory / "cache"), ModelRunFolder(directory))


def make_inputs(model_run: Path, data: Path) -> ExportInputs:
    return ExportInputs(ModelRunFolder(model_run), ExamplesFolder(data), LabelMapFolder(data))


@pytest.fixture(scope="module")
def model_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model_run")
    train(data, SETTINGS, directory)
    return directory


@pytest.fixture(scope="module")
def exported(data: Path, model_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model")
    inputs = make_inputs(model_run, data)
    export_model(inputs, ExporterSettings(calibration_images=5), EdgeTpuTarget.REQUIRED, ModelFolder(directory))
    return directory


def test_loop_trains_saves_and_evaluates(model_run: Path) -> None:
    report = TrainingReport.read(model_run / "training.json")
    assert report.steps == 6
    assert report.stop_reason is StopReason.ALL_STEPS_DONE
    assert [point.step for point in report.evaluations] == [3, 6]
    assert all(point.map is not None and 0 <= point.map <= 1 for point in report.evaluations)
    assert report.best_step in (3, 6)
    best = max(report.evaluations, key=lambda point: point.map or 0.0)
    assert report.best_step == best.step
    assert (model_run / "best" / f"ckpt-{report.best_step}.index").is_file()
    assert {path.name for path in (model_run / "checkpoints").glob("*.index")} == {"ckpt-3.index", "ckpt-6.index"}


def test_tensorboard_shows_losses_rates_metrics_and_pictures(model_run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tags = {}
    for name in ("train", "eval"):
        events = EventAccumulator(str(model_run / "logs" / name))
        events.Reload()
        tags[name] = set(events.Tags()["tensors"])
    assert {"Loss/total_loss", "Loss/classification_loss", "learning_rate"} <= tags["train"]
    assert {"DetectionBoxes_Precision/mAP", "Loss/total_loss", "detections_and_ground_truth/0"} <= tags["eval"]
    assert (
        len([tag for tag in tags["eval"] if tag.startswith(("DetectionBoxes_Precision", "DetectionBoxes_Recall"))])
        == 12
    )
    assert {tag for tag in tags["eval"] if tag.startswith("PerClass_AP/")} == {
        f"PerClass_AP/{name}" for name in LABELS.names
    }


def test_fine_tuning_starts_from_the_weights(data: Path, model_run: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    from reefline.od_api.train_step import TrainStep
    from reefline.settings import CheckpointType

    step = TrainStep(build_config(data, SETTINGS))
    prefix = tf.train.latest_checkpoint(str(model_run / "best"))
    step.load_fine_tune_checkpoint(prefix, CheckpointType.DETECTION)
    reader = tf.train.load_checkpoint(prefix)
    name = next(
        n for n in reader.get_variable_to_shape_map() if "feature_extractor" in n and "kernel" in n and "OPT" not in n
    )
    saved = reader.get_tensor(name)
    weights = [v.numpy() for v in step.model._feature_extractor.variables if tuple(v.shape) == saved.shape]
    assert any(np.array_equal(saved, weight) for weight in weights)


def test_fine_tuning_takes_a_classifier(data: Path, tmp_path: Path) -> None:
    """A detector's backbone, saved as the OD API saves classifiers, comes back into another detector."""
    import tensorflow as tf

    from reefline.od_api.train_step import TrainStep
    from reefline.settings import CheckpointType

    teacher = TrainStep(build_config(data, SETTINGS))
    teacher.run()
    backbone = teacher.model._feature_extractor.classification_backbone
    prefix = tf.train.Checkpoint(feature_extractor=backbone).save(str(tmp_path / "ckpt"))
    student = TrainStep(build_config(data, SETTINGS))
    student.load_fine_tune_checkpoint(prefix, CheckpointType.CLASSIFICATION)
    copied = student.model._feature_extractor.classification_backbone
    assert len(copied.variables) == len(backbone.variables) > 100
    for mine, theirs in zip(copied.variables, backbone.variables, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


def test_early_stopping_counts_evaluations_without_gain(data: Path, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(
        update={"learning_rate": 1e-12, "num_steps": 50, "steps_per_eval": 1, "early_stopping_patience": 2}
    )
    report = train(data, settings, tmp_path)
    assert report.stop_reason is StopReason.EARLY_STOPPING
    assert report.steps == report.best_step + 2 < 50


def test_diverging_loss_names_the_files(data: Path, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"learning_rate": 1e30, "warmup_steps": 0})
    with pytest.raises(TrainingDivergedError, match=r"Loss/total_loss is (nan|inf).*square_\d+\.jpg"):
        train(data, settings, tmp_path)


def test_export_writes_what_is_judged_and_what_ships(exported: Path) -> None:
    assert (exported / "saved_model" / "saved_model.pb").is_file()
    bundle = {path.name for path in (exported / "bundle").iterdir()}
    assert bundle == {"model_int8.tflite", "labels.txt", "export.json"}
    assert (exported / "bundle" / "labels.txt").read_text() == "red\nblue\n"
    record = ExportRecord.read(exported / "bundle" / "export.json")
    assert (record.height_px, record.width_px, record.classes) == (96, 96, ("red", "blue"))
    operators = count_operators(exported / "bundle" / "model_int8.tflite")
    assert record.edgetpu.ops_total == operators > 50
    assert json.loads((exported / "bundle" / "export.json").read_text())["edgetpu"]["compiled"] is False


def test_export_keeps_where_each_operator_runs(exported: Path) -> None:
    report = PlacementReport.read(ModelFolder(exported).placement)
    record = ExportRecord.read(exported / "bundle" / "export.json").edgetpu
    assert (report.source, report.conforms, report.problems) == (PlacementSource.PREDICTION, True, ())
    assert [(op.index, op.op, op.version) for op in report.ops] == [
        (op.index, op.name, op.version) for op in read_graph(exported / "bundle" / "model_int8.tflite").operators
    ]
    assert report.summary.total == record.ops_total == len(report.ops)
    assert (report.summary.edgetpu, report.summary.cpu) == (record.ops_on_tpu, record.ops_on_cpu)
    assert all(op.reason for op in report.ops)
    assert [op.op for op in report.ops if op.placement == "cpu"] == [
        *("DEQUANTIZE", "DEQUANTIZE"),
        "CUSTOM:TFLite_Detection_PostProcess",
    ]


def test_saved_model_detects_as_the_checkpoint_does(data: Path, model_run: Path, exported: Path) -> None:
    import tensorflow as tf

    image = tf.io.decode_jpeg(draw_example(50).encoded_jpeg)[tf.newaxis]
    config = model_config.read_pipeline_config(model_run / "pipeline.config")
    tf.keras.backend.set_learning_phase(False)
    model = build_model(config.model, is_training=False)
    inputs, shapes = model.preprocess(tf.cast(image, tf.float32))
    model.predict(inputs, shapes)
    tf.train.Checkpoint(model=model).restore(tf.train.latest_checkpoint(str(model_run / "best"))).expect_partial()
    expected = model.postprocess(model.predict(inputs, shapes), shapes)
    found = tf.saved_model.load(str(exported / "saved_model")).signatures["serving_default"](image)
    np.testing.assert_allclose(found["detection_boxes"], expected["detection_boxes"], atol=1e-5)
    np.testing.assert_allclose(found["detection_scores"], expected["detection_scores"], atol=1e-5)
    np.testing.assert_array_equal(found["detection_classes"], expected["detection_classes"] + 1)


def test_int8_model_takes_pixels_and_is_integer_inside(exported: Path) -> None:
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(str(exported / "bundle" / "model_int8.tflite"))
    interpreter.allocate_tensors()
    (details,) = interpreter.get_input_details()
    assert details["dtype"] is np.uint8
    assert details["shape"].tolist() == [1, 96, 96, 3]
    scale, zero_point = details["quantization"]
    # MobileNet wants [-1, 1]: one step of a pixel is 2/255, and black is -1.
    assert scale == pytest.approx(2 / 255, rel=1e-3)
    assert zero_point in (127, 128)
    floats = {tensor["name"] for tensor in interpreter.get_tensor_details() if tensor["dtype"] is np.float32}
    # Only what feeds the detection post-processing and comes out of it.
    assert len(floats) <= 8


def test_outputs_are_boxes_classes_scores_count(exported: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(exported / "bundle" / "model_int8.tflite"))
    interpreter.allocate_tensors()
    pixels = np.random.default_rng(0).integers(0, 256, (1, 96, 96, 3), dtype=np.uint8)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels)
    interpreter.invoke()
    # As TFLite's examples and Frigate read them.
    boxes, classes, scores, count = (
        interpreter.get_tensor(details["index"])[0] for details in interpreter.get_output_details()
    )
    rows = len(scores)
    assert (boxes.shape, classes.shape, scores.shape, count.shape) == ((rows, 4), (rows,), (rows,), ())
    assert 0 < int(count) <= rows
    assert (np.diff(scores[: int(count)]) <= 0).all() and 0 < scores[0] <= 1
    assert set(classes[: int(count)]) <= {0.0, 1.0}
    # As pycoral reads them: the names in the signature stay those of the converter.
    named = interpreter.get_signature_runner()(input=pixels)
    assert list(named) == ["output_0", "output_1", "output_2", "output_3"]
    for found, expected in zip(named.values(), (count, scores, classes, boxes), strict=True):
        np.testing.assert_array_equal(found[0], expected)


def test_weights_are_quantized_per_channel_and_activations_are_relu6(exported: Path) -> None:
    graph = read_graph(exported / "bundle" / "model_int8.tflite")
    (image,) = (graph.tensors[index] for index in graph.inputs)
    assert (image.type, image.shape) == ("UINT8", (1, 96, 96, 3))
    convolutions = [op for op in graph.operators if op.name in ("CONV_2D", "DEPTHWISE_CONV_2D")]
    assert len(convolutions) > 50
    for op in convolutions:
        source, filters, biases = graph.get_inputs(op)
        (result,) = graph.get_outputs(op)
        assert (source.type, filters.type, biases.type, result.type) == ("INT8", "INT8", "INT32", "INT8")
        # One scale per output channel: a filter's first dimension, a depthwise one's last.
        channels = filters.shape[0 if op.name == "CONV_2D" else -1]
        assert len(filters.scales) == len(biases.scales) == channels == result.shape[-1]
        assert set(filters.zero_points) == {0}
        assert len(source.scales) == len(result.scales) == 1
    relu6 = schema.ActivationFunctionType.RELU6
    assert {op.options.fused_activation for op in graph.operators} == {0, relu6}
    # One scale for all channels would be the same number many times.
    scales = {op.index: set(graph.get_inputs(op)[1].scales) for op in convolutions}
    assert sum(len(values) > 1 for values in scales.values()) > len(convolutions) / 2


def test_an_untrained_model_has_the_operators_of_the_trained_one(data: Path, exported: Path, tmp_path: Path) -> None:
    untrained = quantize_untrained(build_config(data, SETTINGS), ExporterSettings(), tmp_path)
    trained = exported / "bundle" / "model_int8.tflite"
    # Not by the tensors' numbers: equal constants, as untrained biases are, are stored once.
    operators = [[(op.name, op.version) for op in read_graph(file).operators] for file in (untrained, trained)]
    assert operators[0] == operators[1]
    placed = [[op.placement for op in analyze_model(file).ops] for file in (untrained, trained)]
    assert placed[0] == placed[1]
    op = read_postprocess_op(untrained)
    assert op.model_outputs == (op.boxes_index, op.classes_index, op.scores_index, op.count_index)


def test_the_diagnosis_measures_the_model_that_ships(data: Path, model_run: Path, exported: Path) -> None:
    made = ExportedModel(ModelFolder(exported), ModelRunFolder(model_run))
    report = diagnose_quantization(made, ExporterSettings(calibration_images=5))

    assert report.failure is None
    assert (report.calibration_images, report.measured_images) == (5, 5)
    assert len(report.tensors) == 20
    assert report.tensors_total > 50
    assert [t.range_width for t in report.tensors] == sorted((t.range_width for t in report.tensors), reverse=True)
    graph = read_graph(exported / "bundle" / "model_int8.tflite")
    results = [(op.name, graph.get_outputs(op)[0]) for op in graph.operators if op.name != "QUANTIZE"]
    widths = [(name, 255 * result.scales[0]) for name, result in results if result.is_eight_bit]
    assert report.tensors[0].range_width == pytest.approx(max(width for _, width in widths), rel=1e-5)
    for tensor in report.tensors:
        assert any(name == tensor.op and tensor.range_width == pytest.approx(width, rel=1e-5) for name, width in widths)
        assert tensor.range_width == pytest.approx(255 * tensor.scale)
        assert tensor.error_steps is not None
        assert 0 <= tensor.error_steps < 2


def test_labels_are_inside_the_model(exported: Path) -> None:
    from tensorflow_lite_support.metadata import metadata_schema_py_generated as metadata_schema

    content = (exported / "bundle" / "model_int8.tflite").read_bytes()
    assert read_embedded_labels(content) == LABELS.names
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    (entry,) = [entry for entry in model.metadata if entry.name == b"TFLITE_METADATA"]
    packed = bytes(model.buffers[entry.buffer].data)
    metadata = metadata_schema.ModelMetadataT.InitFromObj(metadata_schema.ModelMetadata.GetRootAs(packed, 0))
    outputs = metadata.subgraphMetadata[0].outputTensorMetadata
    found = list(zip((tensor.name.decode() for tensor in outputs), model.subgraphs[0].outputs, strict=True))
    op = read_postprocess_op(exported / "bundle" / "model_int8.tflite")
    assert found == [
        ("location", op.boxes_index),
        ("category", op.classes_index),
        ("score", op.scores_index),
        ("number of detections", op.count_index),
    ]
    (category,) = [tensor for tensor in outputs if tensor.name == b"category"]
    assert category.associatedFiles[0].name == b"labels.txt"


def test_edge_tpu_never_ships_a_float_model(data: Path, model_run: Path, exported: Path, tmp_path: Path) -> None:
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    inputs = make_inputs(model_run, data)
    record = export_model(inputs, ExporterSettings(), EdgeTpuTarget.NEVER, ModelFolder(tmp_path))
    assert {path.name for path in (tmp_path / "bundle").iterdir()} == {
        "model_float.tflite",
        "labels.txt",
        "export.json",
    }
    assert record.edgetpu.ops_on_cpu == record.edgetpu.ops_total > 0
    assert "edgetpu: never" in record.edgetpu.reason
    report = PlacementReport.read(tmp_path / "placement.json")
    assert (report.conforms, report.summary.cpu) == (False, record.edgetpu.ops_total)
    interpreter = Interpreter(str(tmp_path / "bundle" / "model_float.tflite"))
    interpreter.allocate_tensors()
    pixels = np.full((1, 96, 96, 3), 128.0, np.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels)
    interpreter.invoke()
    op = read_postprocess_op(tmp_path / "bundle" / "model_float.tflite")
    assert op.model_outputs == (op.boxes_index, op.classes_index, op.scores_index, op.count_index)
    found = tf.saved_model.load(str(exported / "saved_model")).signatures["serving_default"](
        tf.constant(pixels, tf.uint8)
    )
    scores = interpreter.get_tensor(op.scores_index)
    # The float model takes pixels as they are, like the SavedModel.
    np.testing.assert_allclose(scores[0, 0], found["detection_scores"][0, 0], atol=1e-4)


def test_a_run_without_checkpoint_cannot_be_exported(data: Path, model_run: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "pipeline.config").write_text((model_run / "pipeline.config").read_text())
    inputs = make_inputs(tmp_path / "run", data)
    with pytest.raises(CheckpointError, match="no checkpoint in best/"):
        export_model(inputs, ExporterSettings(), EdgeTpuTarget.REQUIRED, ModelFolder(tmp_path / "model"))


def test_a_file_that_is_no_model_has_no_operators(tmp_path: Path) -> None:
    (tmp_path / "notes.tflite").write_text("not a flatbuffer")
    with pytest.raises(BundleError, match="not a TFLite model"):
        count_operators(tmp_path / "notes.tflite")
