"""The ranges of an int8 model's activations and the errors of its operators, from TFLite's quantization debugger.

https://www.tensorflow.org/lite/performance/quantization_debugger: the debugger's model contains each operator twice, in
float and in integers, both with the integer one's inputs, and an operator that compares the two. So each error is that
operator's own.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from reefline.tflite.conversion import make_int8_converter
from reefline.tflite.quantization_report import TensorRange

if TYPE_CHECKING:
    import numpy as np

# The distance from the lowest to the highest of 256 values.
_STEPS = 255


def measure_tensor_ranges(
    graph_dir: Path,
    calibration_inputs: Callable[[], Iterator[np.ndarray]],
    measured_inputs: Callable[[], Iterator[np.ndarray]],
) -> tuple[TensorRange, ...]:
    """Return every activation that an operator computes, widest range first.

    With the `calibration_inputs` of `convert_to_int8`, the ranges are the shipped model's. Errors are means over
    `measured_inputs`.
    """
    import tensorflow as tf

    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=make_int8_converter(graph_dir, calibration_inputs),
        debug_dataset=lambda: ([array] for array in measured_inputs()),
    )
    debugger.run()
    text = io.StringIO()
    debugger.layer_statistics_dump(text)
    text.seek(0)
    return tuple(sorted(map(_read_row, csv.DictReader(text)), key=lambda tensor: -tensor.range_width))


def _read_row(row: dict[str, str]) -> TensorRange:
    scale = float(row["scale"])
    error_steps = math.sqrt(float(row["mean_squared_error"])) / scale
    return TensorRange(
        # Fused operators list all their names, separated by semicolons.
        name=row["tensor_name"].partition(";")[0],
        op=row["op_name"],
        range_width=_STEPS * scale,
        scale=scale,
        error_steps=error_steps if math.isfinite(error_steps) else None,
    )
