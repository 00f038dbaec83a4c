"""What is known of a model's life on the Edge TPU: the "edgetpu" part of summary.json and manifest.json."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass
from typing import Any

from reefline.errors import UserError


class PlacementSource(str, enum.Enum):
    """Who says where the operators run."""

    COMPILER = "compiler"
    PREDICTION = "prediction"


@dataclass(frozen=True)
class EdgeTpuRecord:
    """Whether a model is compiled and where its operators run; `reason` says why in one sentence."""

    compiled: bool
    compiler_version: str | None
    source: PlacementSource
    ops_total: int
    ops_on_tpu: int
    ops_on_cpu: int
    ops_uncertain: int
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Return the record as summary.json shows it."""
        return {**asdict(self), "source": self.source.value}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> EdgeTpuRecord:
        """Read back what `to_json` wrote."""
        return cls(**{**record, "source": PlacementSource(record["source"])})


class PreflightError(UserError):
    """A model that the gate would refuse for where it runs, whatever it learns."""

    def __init__(self, *problems: str, edgetpu: EdgeTpuRecord) -> None:
        super().__init__(*problems)
        self.edgetpu = edgetpu
