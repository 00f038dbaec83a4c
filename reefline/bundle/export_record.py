"""What was exported: export.json, next to the files that it describes."""

from __future__ import annotations

from dataclasses import dataclass

from reefline.edgetpu.record import EdgeTpuRecord
from reefline.system.record import Record

EXPORT_FILE = "export.json"


@dataclass(frozen=True)
class ExportRecord(Record):
    """export.json: `classes` are in the order of the 0-based class ids.

    `quantization_aware_steps` is how many steps the int8 model was trained beyond the checkpoint, 0 for none.
    """

    height_px: int
    width_px: int
    classes: tuple[str, ...]
    edgetpu: EdgeTpuRecord
    quantization_aware_steps: int
