"""TFLite models from the exported graph: full-integer for the Edge TPU, float for everything else.

A detector's outputs are boxes, classes, scores, count (output_order.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reefline.tflite.output_order import order_outputs

if TYPE_CHECKING:
    import numpy as np


def convert_to_int8(graph_dir: Path, calibration_inputs: Callable[[], Iterator[np.ndarray]]) -> bytes:
    """Return a full-integer TFLite model: uint8 input, int8 inside, float32 detections.

    `calibration_inputs` yields float32 [1, height, width, 3] arrays in the graph's input range; it may be called more
    than once. Every operator except the detection post-processing needs an integer form, otherwise the converter fails.
    """
    import tensorflow as tf

    converter = make_int8_converter(graph_dir, calibration_inputs)
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.float32
    return order_outputs(converter.convert())


def make_int8_converter(graph_dir: Path, calibration_inputs: Callable[[], Iterator[np.ndarray]]) -> Any:
    """Return the TFLiteConverter of `convert_to_int8`, with a float input."""
    import tensorflow as tf

    converter = _make_converter(graph_dir)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([array] for array in calibration_inputs())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return converter


def convert_to_float(graph_dir: Path) -> bytes:
    """Return a float32 TFLite model, for models that never run on the Edge TPU."""
    return order_outputs(_make_converter(graph_dir).convert())


def _make_converter(graph_dir: Path) -> Any:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(graph_dir))
    # TFLite_Detection_PostProcess is a custom operator that every TFLite runtime includes.
    converter.allow_custom_ops = True
    return converter
