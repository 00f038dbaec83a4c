"""Exports a checkpoint as a SavedModel and as a graph for TFLite.

Relies on `exporter_lib_v2.DetectionFromImageModule` and `export_tflite_graph_lib_tf2.SSDModule`, which
`exporter_main_v2.py` and `export_tflite_graph_tf2.py` export. Those scripts save the entire Keras model, and Keras
then traces every layer several more times; here only the traced function and its variables are saved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reefline.od_api.building import build_model
from reefline.od_api.tracing import without_autograph
from reefline.od_api.upsampling import native_upsampling
from reefline.settings import ExporterSettings

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf
    from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig


@dataclass(frozen=True)
class InputSize:
    """The size of the model's input in pixels."""

    height_px: int
    width_px: int


def read_input_size(config: TrainEvalPipelineConfig) -> InputSize:
    """Return the input size of a model with a fixed_shape_resizer."""
    resizer = config.model.ssd.image_resizer.fixed_shape_resizer
    return InputSize(height_px=resizer.height, width_px=resizer.width)


def export_saved_model(config: TrainEvalPipelineConfig, checkpoint_prefix: str, directory: Path) -> None:
    """Write the SavedModel that the OD API calls "image_tensor".

    Input `input_tensor`: uint8 [1, height, width, 3] of any size. Outputs are those of `exporter_main_v2.py`:
    `detection_boxes` are fractions (y_min, x_min, y_max, x_max), `detection_classes` are label map ids.
    """
    import tensorflow as tf
    from object_detection import exporter_lib_v2

    module = exporter_lib_v2.DetectionFromImageModule(_restore_model(config, checkpoint_prefix))
    traced = module.__call__
    with without_autograph():
        function = tf.function(
            traced.python_function, autograph=False, input_signature=traced.input_signature
        ).get_concrete_function()
    _save_function(function, directory)


def export_tflite_graph(
    config: TrainEvalPipelineConfig,
    checkpoint_prefix: str | None,
    settings: ExporterSettings,
    directory: Path,
    *,
    for_int8: bool,
) -> None:
    """Write the SavedModel that the TFLite converter turns into a detector with post-processing inside.

    Without a checkpoint the weights are random; the operators are the same. Input: float32 [1, height, width, 3] with
    pixels 0..255, or, `for_int8`, what `iterate_calibration_inputs` yields.
    """
    import tensorflow as tf
    from object_detection import export_tflite_graph_lib_tf2

    with native_upsampling():
        model = _restore_model(config, checkpoint_prefix)
    config = _with_nms_threshold(config, settings.nms_score_threshold)
    # TFLite's regular suppression loses entire classes when they do not divide evenly among threads (3 classes, 2
    # threads: the last is never found); the fast one scores the same here and is right with any number of threads.
    module = export_tflite_graph_lib_tf2.SSDModule(config, model, settings.max_detections, use_regular_nms=False)
    # The method is wrapped in a tf.function that converts through AutoGraph; this is its plain body.
    infer = vars(export_tflite_graph_lib_tf2.SSDModule)["inference_fn"].python_function
    takes_raw_pixels = not (for_int8 and _is_affine(model))

    def detect(image: tf.Tensor) -> Any:
        return infer(module, _preprocess(model, image) if takes_raw_pixels else image)

    spec = tf.TensorSpec(shape=module.input_shape(), dtype=tf.float32, name="input")
    with without_autograph():
        function = tf.function(detect, autograph=False).get_concrete_function(spec)
    _save_function(function, directory)


def iterate_calibration_inputs(
    config: TrainEvalPipelineConfig, images_rgb: Iterable[np.ndarray]
) -> Iterator[np.ndarray]:
    """Yield the TFLite graph's input for each image: float32 [1, height, width, 3].

    `images_rgb` are uint8 [h, w, 3] of any size; the model's own resizer and preprocessing are applied. One corner
    pixel of each image becomes black and one white, so that the quantized input spans exactly 0 to 255 and takes pixels
    unchanged.
    """
    import numpy as np
    import tensorflow as tf

    model = build_model(config.model, is_training=False)
    size = read_input_size(config)
    takes_raw_pixels = not _is_affine(model)
    for image in images_rgb:
        # Explicitly, as the resize returns an image that already has the input's size with its dtype unchanged.
        pixels = image.astype(np.float32)
        # The OD API's fixed_shape_resizer is TensorFlow 1's resize, which aligns pixels by their corners.
        resized = tf.compat.v1.image.resize(pixels[np.newaxis], (size.height_px, size.width_px)).numpy()
        resized[0, 0, 0], resized[0, 0, -1] = 0.0, 255.0
        yield resized if takes_raw_pixels else _preprocess(model, tf.constant(resized)).numpy()


def _restore_model(config: TrainEvalPipelineConfig, checkpoint_prefix: str | None) -> Any:
    """Build the model for inference, and restore it from the checkpoint if one is given.

    One eager run creates its variables, so that it is traced only once afterwards.
    """
    import tensorflow as tf

    # An earlier training in this process leaves Keras' global learning phase as its last trace set it.
    tf.keras.backend.set_learning_phase(False)
    size = read_input_size(config)
    with without_autograph():
        model = build_model(config.model, is_training=False)
        image, shapes = model.preprocess(tf.zeros([1, size.height_px, size.width_px, 3]))
        model.predict(image, shapes)
    if checkpoint_prefix is not None:
        status = tf.train.Checkpoint(model=model).restore(checkpoint_prefix)
        status.expect_partial().assert_existing_objects_matched()
    return model


def _save_function(function: Any, directory: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.model_variables = list(function.graph.variables)
    module.serve = function
    tf.saved_model.save(module, str(directory), signatures=function)


def _with_nms_threshold(config: TrainEvalPipelineConfig, score_threshold: float) -> TrainEvalPipelineConfig:
    """Return a copy that drops detections below `score_threshold` before suppression."""
    from object_detection.protos import pipeline_pb2

    copy = pipeline_pb2.TrainEvalPipelineConfig()
    copy.CopyFrom(config)
    copy.model.ssd.post_processing.batch_non_max_suppression.score_threshold = score_threshold
    return copy


def _preprocess(model: Any, image: tf.Tensor) -> tf.Tensor:
    """Scale or centre pixels as the model's backbone expects; the size stays."""
    return model._feature_extractor.preprocess(image)


def _is_affine(model: Any) -> bool:
    """Return whether preprocessing is one scale and one offset for all channels.

    If so, the quantized input's scale and zero point express it (MobileNet: [-1, 1]). If not (ResNet subtracts a mean
    per channel), it must be inside the graph for the input to take pixels.
    """
    import numpy as np
    import tensorflow as tf

    ends = _preprocess(model, tf.constant(np.array([[[[0.0] * 3, [255.0] * 3]]], np.float32))).numpy()
    return bool(np.allclose(ends[..., :1], ends))
