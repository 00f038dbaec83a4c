"""What of a model integers hold badly: the record of a diagnosis, as JSON and in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Optional

_NAMED_TENSORS = 3


@dataclass(frozen=True)
class TensorRange:
    """An activation of the int8 model, by the first of the names that were fused into it, and the operator behind it.

    `range_width` is what its 256 values span, 255 times `scale`. `error_steps` is the root mean square of what the
    integer operator does wrong, in steps of `scale`: rounding alone gives 0.29, 1/sqrt(12). None is no finite number.
    """

    name: str
    op: str
    range_width: float
    scale: float
    error_steps: Optional[float]


@dataclass(frozen=True)
class QuantizationReport:
    """The activations with the widest ranges, widest first, of `tensors_total`; or why they are not known.

    The ranges are those that `calibration_images` gave, the errors were measured on `measured_images` of them.
    """

    tensors: tuple[TensorRange, ...] = ()
    tensors_total: int = 0
    calibration_images: int = 0
    measured_images: int = 0
    failure: Optional[str] = None

    def to_json(self) -> dict[str, Any]:
        """Return the report as evaluation.json shows it."""
        return asdict(self) | {"tensors": [asdict(tensor) for tensor in self.tensors]}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> QuantizationReport:
        """Read back what `to_json` wrote."""
        return cls(**{**record, "tensors": tuple(TensorRange(**tensor) for tensor in record["tensors"])})

    def describe(self) -> str:
        """Return what the gate's reason adds to a drop that is too large: the worst tensors, and where to look."""
        if self.failure is not None:
            return f"which tensors have the widest ranges could not be found out: {self.failure}"
        # A residual sum has the scale of its convolution: one name says it.
        by_scale = {tensor.scale: tensor for tensor in reversed(self.tensors)}
        worst = [by_scale[scale] for scale in sorted(by_scale, reverse=True)[:_NAMED_TENSORS]]
        names = ", ".join(f"{tensor.name} ({tensor.op}: {tensor.range_width:.3g})" for tensor in worst)
        return (
            f"of {self.tensors_total} tensors the widest ranges have {names}, more in evaluation.json; "
            "what can be done: more, or more typical, calibration images (exporter.calibration_images, "
            f"{self.calibration_images} used), or fine-tuning (exporter.quantization_aware_steps); see docs/edge-tpu.md"
        )
