"""Which tensors of a model int8 represents badly: the record of a diagnosis, and its summary in one sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from reefline.system.record import Record

_NAMED_TENSORS = 3


@dataclass(frozen=True)
class TensorRange(Record):
    """An activation of the int8 model, by the first of the names that were fused into it, and its operator.

    `range_width` is what its 256 values span, 255 times `scale`. `error_steps` is the root mean square error of the
    integer operator in steps of `scale`: rounding alone gives 0.29, 1/sqrt(12). None where it is not finite.
    """

    name: str
    op: str
    range_width: float
    scale: float
    error_steps: Optional[float]


@dataclass(frozen=True)
class QuantizationReport(Record):
    """The activations with the widest ranges, widest first, of `tensors_total`; or why they are unknown.

    The ranges come from `calibration_images`, the errors were measured on `measured_images` of them.
    """

    tensors: tuple[TensorRange, ...] = ()
    tensors_total: int = 0
    calibration_images: int = 0
    measured_images: int = 0
    failure: Optional[str] = None

    def describe(self) -> str:
        """Return what the gate's reason adds to a drop that is too large: the widest tensors, and what to do."""
        if self.failure is not None:
            return f"the tensors with the widest ranges could not be determined: {self.failure}"
        # A residual sum has the scale of its convolution: one name stands for both.
        by_scale = {tensor.scale: tensor for tensor in reversed(self.tensors)}
        worst = [by_scale[scale] for scale in sorted(by_scale, reverse=True)[:_NAMED_TENSORS]]
        names = ", ".join(f"{tensor.name} ({tensor.op}: {tensor.range_width:.3g})" for tensor in worst)
        return (
            f"the widest ranges of {self.tensors_total} tensors: {names} (more in evaluation.json); "
            "use more, or more typical, calibration images (exporter.calibration_images, "
            f"{self.calibration_images} used), or fine-tuning (exporter.quantization_aware_steps); see docs/edge-tpu.md"
        )
