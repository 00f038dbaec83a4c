"""The gate's answer: one result per rule, the verdict, and a diagnosis where quantization costs too much."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Optional

import pydantic

from reefline.evaluation.scores import Precision, Scores
from reefline.system.record import Record
from reefline.tflite.quantization_report import QuantizationReport

QUANTIZATION_RULE = "max_quantization_drop"


class GateVerdict(str, enum.Enum):
    """Whether a candidate may be pushed."""

    BLESSED = "BLESSED"
    NOT_BLESSED = "NOT_BLESSED"


@dataclass(frozen=True)
class GateResult(Record):
    """One rule's answer; `value` is None where there was nothing to measure.

    Reading is strict, as a damaged answer must not become a pass.
    """

    rule: str
    value: Optional[pydantic.FiniteFloat]
    threshold: pydantic.FiniteFloat
    passed: pydantic.StrictBool
    reason: str

    @property
    def is_quantization_loss(self) -> bool:
        """Whether quantization is known to cost more than its rule allows."""
        return self.rule == QUANTIZATION_RULE and not self.passed and self.value is not None


@dataclass(frozen=True)
class EvaluationReport(Record):
    """evaluation.json: the scores and one result per configured rule; the verdict follows from the results.

    `quantization` is set where the int8 model's drop was too large. `thresholds` maps each class to the confidence
    threshold with the shipped model's best F1 at IoU 0.5; None where no detection of the class is correct.
    """

    scores: Scores
    gate: tuple[GateResult, ...]
    quantization: Optional[QuantizationReport] = None
    thresholds: Mapping[str, Optional[pydantic.FiniteFloat]] = field(default_factory=dict)

    @property
    def verdict(self) -> GateVerdict:
        """BLESSED where every configured rule passed."""
        return GateVerdict.BLESSED if all(result.passed for result in self.gate) else GateVerdict.NOT_BLESSED

    @property
    def is_worth_a_diagnosis(self) -> bool:
        """Whether the int8 model's drop is known and above the threshold."""
        is_int8 = self.scores.shipped_precision is Precision.INT8
        return is_int8 and any(result.is_quantization_loss for result in self.gate)

    def explain(self, quantization: QuantizationReport) -> EvaluationReport:
        """Return the report with a diagnosis of the quantized model, which the failed rule's reason sums up."""
        gate = tuple(
            replace(result, reason=f"{result.reason}; {quantization.describe()}")
            if result.is_quantization_loss
            else result
            for result in self.gate
        )
        return replace(self, gate=gate, quantization=quantization)
