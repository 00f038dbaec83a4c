"""What the Edge TPU will make of a model, known before it is trained.

The configured model with random weights goes the way of a trained one: the same export, quantization and placement.
Which operators there are and where they run does not depend on what the weights are.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reefline.bundle.layout import EDGE_TPU_FILE, INT8_FILE
from reefline.edgetpu.analysis import ModelAnalysis
from reefline.edgetpu.compile_or_predict import compile_or_predict
from reefline.edgetpu.compiler.adapter import find_compiler
from reefline.edgetpu.placement import PlacedOp, Placement
from reefline.edgetpu.record import EdgeTpuRecord, PlacementSource
from reefline.settings import ExporterSettings
from reefline.system.files import write_whole

if TYPE_CHECKING:
    import numpy as np

PREFLIGHT_FILE = "preflight.json"
# Noise has values from the whole range, which is all that the placement asks of calibration.
_CALIBRATION_IMAGES = 2
_CALIBRATION_SIDE_PX = 64
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Preflight:
    """What was found out: the placement as a bundle's record tells it, and each operator off the Edge TPU, predicted.

    `problems` are what ends a compilation, or might; `conforms` says whether none of them certainly does.
    """

    edgetpu: EdgeTpuRecord
    conforms: bool
    problems: tuple[str, ...]
    left_out: tuple[PlacedOp, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the record as preflight.json holds it."""
        return {
            "edgetpu": self.edgetpu.to_json(),
            "conforms": self.conforms,
            "problems": list(self.problems),
            "left_out": [op.to_json() for op in self.left_out],
        }

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Preflight:
        """Read back what `to_json` wrote."""
        return cls(
            EdgeTpuRecord.from_json(record["edgetpu"]),
            bool(record["conforms"]),
            tuple(record["problems"]),
            tuple(map(PlacedOp.from_json, record["left_out"])),
        )


def preflight_model(config: Any, settings: ExporterSettings, memory: Path, code: str) -> Preflight:
    """Return what will become of a model, from `memory` where the same was asked before.

    Of `config`, a pipeline.config, its model counts, and what of the settings reaches the exported file or compiler;
    `code` stands for everything else that the answer hangs on. `memory` is a folder that may not be there yet.
    """
    remembered = memory / f"{_hash_question(config, settings, code)}.json"
    known = _recall(remembered)
    if known is not None:
        return known
    found = examine_untrained(config, settings)
    # A compiler that was there and gave no answer may give one next time.
    is_lasting = settings.compiler.image is None and find_compiler() is None
    if is_lasting or found.edgetpu.source is PlacementSource.COMPILER:
        _remember(found, remembered)
    return found


def examine_untrained(config: Any, settings: ExporterSettings) -> Preflight:
    """Export the model of a pipeline.config with random weights, quantize it, and see where its operators run."""
    with tempfile.TemporaryDirectory(prefix="reefline-preflight-") as scratch:
        model = quantize_untrained(config, settings, Path(scratch))
        record, analysis = compile_or_predict(model, Path(scratch) / EDGE_TPU_FILE, settings.compiler)
    return _make_preflight(record, analysis)


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


def _make_preflight(record: EdgeTpuRecord, analysis: ModelAnalysis) -> Preflight:
    left_out = tuple(op for op in analysis.ops if op.placement is not Placement.EDGETPU)
    return Preflight(record, analysis.conforms, analysis.problems, left_out)


def _draw_noise() -> Iterator[np.ndarray]:
    import numpy as np

    generator = np.random.default_rng(0)
    for _ in range(_CALIBRATION_IMAGES):
        yield generator.integers(0, 256, (_CALIBRATION_SIDE_PX, _CALIBRATION_SIDE_PX, 3), dtype=np.uint8)


def _hash_question(config: Any, settings: ExporterSettings, code: str) -> str:
    # What changes weights and ranges, and no operator.
    plain = ExporterSettings()
    same = {"calibration_images": plain.calibration_images, "quantization_aware_steps": plain.quantization_aware_steps}
    asked = settings.model_copy(update=same)
    parts = (str(config.model), asked.to_json(), code)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _remember(found: Preflight, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(found.to_json(), indent=1))
    except OSError:
        _logger.warning("the preflight's answer is not remembered: %s cannot be written", path, exc_info=True)


def _recall(path: Path) -> Preflight | None:
    """Return what was found before; None where nothing was, or it cannot be read any more."""
    try:
        return Preflight.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None
