"""What was exported: bundle/export.json, beside the files that it describes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from reefline.edgetpu.record import EdgeTpuRecord

EXPORT_FILE = "export.json"


@dataclass(frozen=True)
class ExportRecord:
    """What was exported: bundle/export.json. `classes` are in the order of the 0-based class ids.

    `quantization_aware_steps` is how far the int8 model was trained beyond the checkpoint, 0 for not at all.
    """

    height_px: int
    width_px: int
    classes: tuple[str, ...]
    edgetpu: EdgeTpuRecord
    quantization_aware_steps: int

    def write(self, path: Path) -> None:
        """Write the record as JSON."""
        record = {
            "input_size": [self.height_px, self.width_px],
            "classes": list(self.classes),
            "edgetpu": self.edgetpu.to_json(),
            "quantization_aware_steps": self.quantization_aware_steps,
        }
        path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> ExportRecord:
        """Read back what `write` wrote."""
        record = json.loads(path.read_text(encoding="utf-8"))
        height_px, width_px = record["input_size"]
        return cls(
            height_px,
            width_px,
            tuple(record["classes"]),
            EdgeTpuRecord.from_json(record["edgetpu"]),
            record["quantization_aware_steps"],
        )
