"""The gate: a pure function from scores and thresholds to a verdict with one reason per rule.

The verdict is about the model that ships (int8, or the float TFLite model of a bundle without int8). The gate fails
closed: a number that is missing, null, NaN or infinite never passes. The one thing that may be absent is a baseline:
on a first run there is none to fall behind.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Optional, Protocol, TypeGuard

from reefline.evaluation.coco_metrics import CocoMetrics
from reefline.evaluation.scores import Precision, Scores
from reefline.tflite.quantization_report import QuantizationReport

if TYPE_CHECKING:
    from reefline.settings import GateSettings

# 0.62 - 0.60 is 0.020000000000000018: a drop of exactly the threshold has to pass.
_ROUNDING = 1e-9
_QUANTIZATION_RULE = "max_quantization_drop"


class Verdict(str, enum.Enum):
    """The gate's answer; the values are those of summary.json."""

    BLESSED = "BLESSED"
    NOT_BLESSED = "NOT_BLESSED"


class TpuPlacement(Protocol):
    """What the gate asks about the Edge TPU; None where a number is unknown."""

    @property
    def compiled(self) -> bool:
        """True where edgetpu_compiler made a model."""

    @property
    def ops_total(self) -> Optional[int]:
        """How many operations the model has."""

    @property
    def ops_on_tpu(self) -> Optional[int]:
        """How many of them run on the Edge TPU."""


@dataclass(frozen=True)
class GateResult:
    """One rule's answer; `value` is None where there was nothing to measure."""

    rule: str
    value: Optional[float]
    threshold: float
    passed: bool
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Return the result as summary.json shows it; a number that JSON cannot hold becomes null."""
        value = self.value if _is_number(self.value) else None
        return {
            "rule": self.rule,
            "value": value,
            "threshold": self.threshold,
            "passed": self.passed,
            "reason": self.reason,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> GateResult:
        """Read back what `to_json` wrote."""
        return cls(**record)


@dataclass(frozen=True)
class EvaluationReport:
    """evaluation.json: the scores and the gate's answer, one result per configured rule.

    `quantization` is there where the int8 model's drop was too large.
    """

    scores: Scores
    gate: tuple[GateResult, ...]
    quantization: Optional[QuantizationReport] = None

    @property
    def verdict(self) -> Verdict:
        """BLESSED where every configured rule passed."""
        return Verdict.BLESSED if all(result.passed for result in self.gate) else Verdict.NOT_BLESSED

    @property
    def is_worth_a_diagnosis(self) -> bool:
        """Whether quantization costs too much: the int8 model's drop is known and above the threshold."""
        is_int8 = self.scores.shipped_precision is Precision.INT8
        return is_int8 and any(_is_quantization_loss(result) for result in self.gate)

    def explain(self, quantization: QuantizationReport) -> EvaluationReport:
        """Return the report with a diagnosis of the quantized model in it and in the reason of the failed rule."""
        gate = tuple(
            replace(result, reason=f"{result.reason}; {quantization.describe()}")
            if _is_quantization_loss(result)
            else result
            for result in self.gate
        )
        return replace(self, gate=gate, quantization=quantization)

    def to_json(self) -> dict[str, Any]:
        """Return the report as evaluation.json shows it."""
        return {
            **self.scores.to_json(),
            "gate": [result.to_json() for result in self.gate],
            "verdict": self.verdict.value,
            "quantization": self.quantization.to_json() if self.quantization else None,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> EvaluationReport:
        """Read back what `to_json` wrote; the verdict follows from the results."""
        gate = tuple(GateResult.from_json(result) for result in record["gate"])
        found = record["quantization"]
        return cls(Scores.from_json(record), gate, QuantizationReport.from_json(found) if found else None)


# A threshold, None where the rule does not take part, and what judges by it.
_Rule = tuple[Optional[float], Callable[[float], GateResult]]


def judge(scores: Scores, placement: TpuPlacement, settings: GateSettings) -> tuple[GateResult, ...]:
    """Return one result per rule that the settings configure, in the settings' order."""
    rules: tuple[_Rule, ...] = (
        (settings.min_map, lambda t: _judge_minimum("min_map", "mAP", _get(scores.shipped, "map"), t)),
        (settings.min_map_50, lambda t: _judge_minimum("min_map_50", "mAP_50", _get(scores.shipped, "map_50"), t)),
        (settings.min_class_ap, lambda t: _judge_classes(scores.shipped, t)),
        (settings.max_quantization_drop, lambda t: _judge_quantization(scores, t)),
        (settings.max_regression, lambda t: _judge_regression(scores, t)),
        (settings.min_improvement, lambda t: _judge_improvement(scores, t)),
    )
    return (*_apply(rules), *judge_placement(placement, settings))


def judge_placement(placement: TpuPlacement, settings: GateSettings) -> tuple[GateResult, ...]:
    """Return the results of the rules on the Edge TPU alone, which can be asked before anything is trained.

    `edgetpu_compiled: false` demands nothing and, like null, leaves its rule out.
    """
    must_compile = 1.0 if settings.edgetpu_compiled else None
    return _apply(
        (
            (settings.min_edgetpu_ops, lambda t: _judge_tpu_share(placement, t)),
            (must_compile, lambda t: _judge_compiled(placement, t)),
        )
    )


def _apply(rules: Iterable[_Rule]) -> tuple[GateResult, ...]:
    return tuple(judge_rule(threshold) for threshold, judge_rule in rules if threshold is not None)


def _judge_minimum(rule: str, what: str, value: Optional[float], threshold: float) -> GateResult:
    """Pass where the value is known and reaches the threshold."""
    if not _is_number(value):
        return GateResult(rule, value, threshold, False, f"{what} of the model that ships is unknown ({value})")
    passed = value + _ROUNDING >= threshold
    relation = "reaches" if passed else "is below"
    return GateResult(rule, value, threshold, passed, f"{what} {value:.4f} {relation} {threshold:.4f}")


def _judge_classes(shipped: Optional[CocoMetrics], threshold: float) -> GateResult:
    """Pass where every class of the label map is known to reach the threshold."""
    rule = "min_class_ap"
    if shipped is None or not shipped.per_class:
        return GateResult(rule, None, threshold, False, "no class of the model that ships was measured")
    unknown = [label for label, metrics in shipped.per_class if not _is_number(metrics.ap)]
    if unknown:
        reason = f"AP is unknown for {_quote(unknown)}: the eval split holds no such object"
        return GateResult(rule, None, threshold, False, reason)
    label, worst = min(((label, float(metrics.ap or 0.0)) for label, metrics in shipped.per_class), key=lambda c: c[1])
    return _judge_minimum(rule, f"AP of the worst class ({label!r})", worst, threshold)


def _judge_quantization(scores: Scores, threshold: float) -> GateResult:
    """Pass where float minus shipped mAP is known and at most the threshold."""
    return _judge_drop(
        _QUANTIZATION_RULE,
        threshold,
        ("the float model", _get(scores.float_model, "map")),
        (f"the {scores.shipped_precision.value} model that ships", _get(scores.shipped, "map")),
    )


def _judge_regression(scores: Scores, threshold: float) -> GateResult:
    """Pass where baseline minus shipped mAP is known and at most the threshold, or nothing serves yet."""
    if scores.baseline_version == 0:
        return GateResult("max_regression", None, threshold, True, "first run: no baseline serves yet")
    return _judge_drop(
        "max_regression",
        threshold,
        (f"the serving version {scores.baseline_version}", _get(scores.baseline, "map")),
        ("the model that ships", _get(scores.shipped, "map")),
    )


def _judge_drop(
    rule: str, threshold: float, before: tuple[str, Optional[float]], after: tuple[str, Optional[float]]
) -> GateResult:
    """Pass where mAP falls by at most the threshold from `before` to `after`, each a name and its mAP."""
    for who, value in (before, after):
        if not _is_number(value):
            return GateResult(rule, None, threshold, False, f"mAP of {who} is unknown ({value})")
    drop = float(before[1] or 0.0) - float(after[1] or 0.0)
    passed = drop <= threshold + _ROUNDING
    relation = "within" if passed else "more than"
    reason = f"mAP {after[1]:.4f} of {after[0]} against {before[1]:.4f} of {before[0]}: a drop of {drop:.4f}"
    return GateResult(rule, drop, threshold, passed, f"{reason}, {relation} {threshold:.4f}")


def _judge_improvement(scores: Scores, threshold: float) -> GateResult:
    """Pass where shipped minus baseline mAP is known and at least the threshold, or nothing serves yet."""
    rule = "min_improvement"
    if scores.baseline_version == 0:
        return GateResult(rule, None, threshold, True, "first run: no baseline serves yet")
    baseline, shipped = _get(scores.baseline, "map"), _get(scores.shipped, "map")
    who = f"the serving version {scores.baseline_version}"
    if not _is_number(baseline):
        return GateResult(rule, None, threshold, False, f"mAP of {who} is unknown ({baseline})")
    if not _is_number(shipped):
        return GateResult(rule, None, threshold, False, f"mAP of the model that ships is unknown ({shipped})")
    gain = shipped - baseline
    passed = gain + _ROUNDING >= threshold
    relation = "at least" if passed else "less than"
    reason = f"mAP {shipped:.4f} against {baseline:.4f} of {who}: a gain of {gain:.4f}, {relation} {threshold:.4f}"
    return GateResult(rule, gain, threshold, passed, reason)


def _judge_tpu_share(placement: TpuPlacement, threshold: float) -> GateResult:
    """Pass where the share of operations on the Edge TPU is known and reaches the threshold."""
    rule = "min_edgetpu_ops"
    total, on_tpu = placement.ops_total, placement.ops_on_tpu
    if not _is_number(total) or not _is_number(on_tpu) or total <= 0:
        reason = f"the share of operations on the Edge TPU is unknown ({on_tpu} of {total})"
        return GateResult(rule, None, threshold, False, reason)
    return _judge_minimum(rule, f"share of operations on the Edge TPU ({on_tpu} of {total})", on_tpu / total, threshold)


def _judge_compiled(placement: TpuPlacement, threshold: float) -> GateResult:
    """Pass where edgetpu_compiler made a model."""
    passed = placement.compiled is True
    reason = "compiled for the Edge TPU" if passed else "not compiled for the Edge TPU"
    return GateResult("edgetpu_compiled", float(passed), threshold, passed, reason)


def _is_quantization_loss(result: GateResult) -> bool:
    return result.rule == _QUANTIZATION_RULE and not result.passed and result.value is not None


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _get(metrics: Optional[CocoMetrics], name: str) -> Optional[float]:
    return None if metrics is None else getattr(metrics, name)


def _quote(labels: list[str]) -> str:
    return ", ".join(repr(label) for label in labels)
