"""Why an int8 model finds less than its float model: a diagnosis in its own process.

It builds and converts the model again, which takes as long as the export. The parent starts
`python -m reefline.export.quantization_diagnosis FOLDER`; task and report are files in the folder.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from reefline.settings import ExporterSettings
from reefline.structures.artifacts import ModelFolder, ModelRunFolder
from reefline.system.child_process import run_module
from reefline.system.record import Record
from reefline.tflite.quantization_report import QuantizationReport

_TASK_FILE = "task.json"
_REPORT_FILE = "report.json"
_GRAPH_FOLDER = "tflite_graph"
_TIMEOUT_S = 900.0
_LISTED_TENSORS = 20
# Errors are means over many pixels; per image, the debugger takes several times as long as the model.
_MEASURED_IMAGES = 32
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportedModel:
    """An exported model and the training that it was made from."""

    model: ModelFolder
    model_run: ModelRunFolder


@dataclass(frozen=True)
class _Task(Record):
    exported: ExportedModel
    settings: ExporterSettings


def diagnose_quantization(exported: ExportedModel, settings: ExporterSettings) -> QuantizationReport:
    """Return which activations of an exported int8 model have the widest ranges.

    It never fails: the verdict stands without it, so the report of a failed diagnosis has the reason instead.
    """
    try:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            _Task(exported, settings).write(folder / _TASK_FILE)
            run_module(__name__, folder, "the diagnosis", timeout_s=_TIMEOUT_S, on_cpu=True)
            return QuantizationReport.read(folder / _REPORT_FILE)
    except Exception as error:
        _logger.exception("the diagnosis of the quantized model failed")
        return QuantizationReport(failure=f"{error} (see the log)")


def measure_quantization(exported: ExportedModel, settings: ExporterSettings, scratch: Path) -> QuantizationReport:
    """Export the int8 model's checkpoint to `scratch` again, and measure it with TFLite's debugger.

    Raises:
        CheckpointError: the training run has no best checkpoint.
    """
    from reefline.export.calibration import make_calibration_inputs, read_calibration_images
    from reefline.export.export_model import find_int8_checkpoint
    from reefline.od_api import export, model_config
    from reefline.tflite.quantization_debugger import measure_tensor_ranges

    config = model_config.read_pipeline_config(exported.model_run.pipeline_config)
    checkpoint = find_int8_checkpoint(exported.model, exported.model_run)
    graph_dir = scratch / _GRAPH_FOLDER
    export.export_tflite_graph(config, checkpoint, settings, graph_dir, for_int8=True)
    images = read_calibration_images(exported.model.calibration)
    # Evenly spread: the images are in the order of the split.
    measured = images[:: -(-len(images) // _MEASURED_IMAGES)]
    tensors = measure_tensor_ranges(
        graph_dir, make_calibration_inputs(config, images), make_calibration_inputs(config, measured)
    )
    return QuantizationReport(tensors[:_LISTED_TENSORS], len(tensors), len(images), len(measured))


def _main(folder: Path) -> None:
    from reefline.od_api import compat

    compat.apply()
    task = _Task.read(folder / _TASK_FILE)
    measure_quantization(task.exported, task.settings, folder).write(folder / _REPORT_FILE)


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
