"""Where a model's operators will run on the Edge TPU, known before it is trained.

The configured model with random weights gets the same export, quantization and placement as a trained one: operators
and their placement do not depend on the weights.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reefline.bundle.layout import EDGE_TPU_FILE, INT8_FILE
from reefline.edgetpu.analysis import analyze_model
from reefline.edgetpu.compile_or_predict import compile_or_predict
from reefline.edgetpu.compiler.command import find_compiler
from reefline.edgetpu.placement_report import Placement
from reefline.edgetpu.preflight_report import Preflight
from reefline.edgetpu.record import PlacementSource
from reefline.errors import RecordError
from reefline.settings import ExporterSettings

if TYPE_CHECKING:
    import numpy as np

# Noise covers the full range of values; placement needs no more from calibration.
_CALIBRATION_IMAGES = 2
_CALIBRATION_SIDE_PX = 64
_logger = logging.getLogger(__name__)


def preflight_model(config: Any, settings: ExporterSettings, memory: Path, code: str) -> Preflight:
    """Return where a model's operators will run, from `memory` if the same was asked before.

    What counts is the model of `config`, a pipeline.config, and the settings that affect the exported file or the
    compiler; `code` stands for everything else. `memory` is a folder that may not exist yet.
    """
    remembered = memory / f"{_hash_question(config, settings, code)}.json"
    known = _recall(remembered)
    if known is not None:
        return known
    found = examine_untrained(config, settings)
    # A compiler that gave no answer may give one next time.
    is_lasting = settings.compiler.image is None and find_compiler() is None
    if is_lasting or found.edgetpu.source is PlacementSource.COMPILER:
        _remember(found, remembered)
    return found


def examine_untrained(config: Any, settings: ExporterSettings) -> Preflight:
    """Export the model of a pipeline.config with random weights, quantize it, and place its operators."""
    with tempfile.TemporaryDirectory(prefix="reefline-preflight-") as scratch:
        model = quantize_untrained(config, settings, Path(scratch))
        record, placement = compile_or_predict(model, Path(scratch) / EDGE_TPU_FILE, settings.compiler)
        forecast = tuple(analyze_model(model).forecast())
    left_out = tuple(op for op in placement.ops if op.placement is not Placement.EDGETPU)
    return Preflight(record, placement.conforms, placement.problems, left_out, forecast)


def quantize_untrained(config: Any, settings: ExporterSettings, directory: Path) -> Path:
    """Return the int8 file of a pipeline.config's model with random weights, written to `directory`."""
    from reefline.od_api import export
    from reefline.tflite.conversion import convert_to_int8

    def calibration_inputs() -> Iterator[np.ndarray]:
        return export.iterate_calibration_inputs(config, _draw_noise())

    graph_dir, model = directory / "tflite_graph", directory / INT8_FILE
    export.export_tflite_graph(config, None, settings, graph_dir, for_int8=True)
    model.write_bytes(convert_to_int8(graph_dir, calibration_inputs))
    return model


def _draw_noise() -> Iterator[np.ndarray]:
    import numpy as np

    generator = np.random.default_rng(0)
    for _ in range(_CALIBRATION_IMAGES):
        yield generator.integers(0, 256, (_CALIBRATION_SIDE_PX, _CALIBRATION_SIDE_PX, 3), dtype=np.uint8)


def _hash_question(config: Any, settings: ExporterSettings, code: str) -> str:
    # These change weights and ranges, but no operator.
    plain = ExporterSettings()
    same = {"calibration_images": plain.calibration_images, "quantization_aware_steps": plain.quantization_aware_steps}
    asked = settings.model_copy(update=same)
    parts = (str(config.model), asked.to_json(), code)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _remember(found: Preflight, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        found.write(path)
    except OSError:
        _logger.warning("cannot write %s; the preflight will run again next time", path, exc_info=True)


def _recall(path: Path) -> Preflight | None:
    """Return what was found before; None if nothing was, or the file is damaged."""
    try:
        return Preflight.read(path)
    except RecordError:
        return None
