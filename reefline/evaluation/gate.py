"""The gate: a pure function from scores and thresholds to one result per rule.

The verdict is about the shipped model (int8, or the float TFLite model of a bundle without int8). The gate fails
closed: a number that is missing, null, NaN or infinite never passes. Only a baseline may be absent: a first run has
none to fall behind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Protocol, TypeGuard, TypeVar

from reefline.evaluation.report import QUANTIZATION_RULE, GateResult
from reefline.evaluation.scores import CocoMetrics, Scores

if TYPE_CHECKING:
    from reefline.settings import GateSettings

# 0.62 - 0.60 is 0.020000000000000018: a drop of exactly the threshold has to pass.
_ROUNDING = 1e-9


class TpuPlacement(Protocol):
    """What the gate asks about the Edge TPU."""

    @property
    def compiled(self) -> bool:
        """True where edgetpu_compiler compiled the model."""

    @property
    def ops_total(self) -> int:
        """How many operations the model has."""

    @property
    def ops_on_tpu(self) -> int:
        """How many of them run on the Edge TPU."""


def judge(scores: Scores, placement: TpuPlacement, settings: GateSettings) -> tuple[GateResult, ...]:
    """Return one result per rule that the settings configure, in the settings' order."""
    return (*_apply(_SCORE_RULES, scores, settings), *judge_placement(placement, settings))


def judge_placement(placement: TpuPlacement, settings: GateSettings) -> tuple[GateResult, ...]:
    """Return the results of the Edge TPU rules alone, which can be judged before anything is trained.

    `edgetpu_compiled: false` demands nothing and, like null, leaves its rule out.
    """
    return _apply(_PLACEMENT_RULES, placement, settings)


class _Answer(NamedTuple):
    """What a rule's function returns: the measured value if any, whether it passes, and why."""

    value: Optional[float]
    passed: bool
    reason: str


class _Measured(NamedTuple):
    """A number, None where unknown, and what it is about, as a reason names it."""

    what: str
    value: Optional[float]


_Facts = TypeVar("_Facts")
_Rule = tuple[str, Callable[[_Facts, float], _Answer]]


def _apply(rules: Iterable[_Rule[_Facts]], facts: _Facts, settings: GateSettings) -> tuple[GateResult, ...]:
    results = []
    for name, answer in rules:
        threshold: float | bool | None = getattr(settings, name)
        if threshold is not None and threshold is not False:
            value, passed, reason = answer(facts, float(threshold))
            results.append(GateResult(name, value, float(threshold), passed, reason))
    return tuple(results)


def _judge_map(scores: Scores, threshold: float) -> _Answer:
    """Pass where the shipped model's mAP is known and reaches the threshold."""
    return _judge_minimum(_Measured("mAP", _get(scores.shipped, "map")), threshold)


def _judge_map_50(scores: Scores, threshold: float) -> _Answer:
    """Pass where the shipped model's mAP at IoU 0.50 is known and reaches the threshold."""
    return _judge_minimum(_Measured("mAP_50", _get(scores.shipped, "map_50")), threshold)


def _judge_classes(scores: Scores, threshold: float) -> _Answer:
    """Pass where every class of the label map is known to reach the threshold."""
    if scores.shipped is None or not scores.shipped.per_class:
        return _Answer(None, False, "no class of the shipped model was measured")
    classes = scores.shipped.per_class.items()
    known = {label: metrics.ap for label, metrics in classes if _is_number(metrics.ap)}
    unknown = [label for label, _ in classes if label not in known]
    if unknown:
        labels = ", ".join(map(repr, unknown))
        return _Answer(None, False, f"AP is unknown for {labels}: the eval split holds no such object")
    worst = min(known, key=lambda label: known[label])
    return _judge_minimum(_Measured(f"AP of the worst class ({worst!r})", known[worst]), threshold)


def _judge_quantization(scores: Scores, threshold: float) -> _Answer:
    """Pass where float minus shipped mAP is known and at most the threshold."""
    return _judge_drop(
        _Measured("the float model", _get(scores.float_model, "map")),
        _Measured(f"the shipped {scores.shipped_precision.value} model", _get(scores.shipped, "map")),
        threshold,
    )


def _judge_regression(scores: Scores, threshold: float) -> _Answer:
    """Pass where baseline minus shipped mAP is known and at most the threshold, or nothing serves yet."""
    if scores.baseline_version == 0:
        return _FIRST_RUN
    return _judge_drop(_baseline(scores), _Measured("the shipped model", _get(scores.shipped, "map")), threshold)


def _judge_improvement(scores: Scores, threshold: float) -> _Answer:
    """Pass where shipped minus baseline mAP is known and at least the threshold, or nothing serves yet."""
    if scores.baseline_version == 0:
        return _FIRST_RUN
    baseline, shipped = _baseline(scores), _get(scores.shipped, "map")
    if not _is_number(baseline.value):
        return _unknown_map(baseline)
    if not _is_number(shipped):
        return _unknown_map(_Measured("the shipped model", shipped))
    gain = shipped - baseline.value
    passed = gain + _ROUNDING >= threshold
    compared = f"mAP {shipped:.4f} against {baseline.value:.4f} of {baseline.what}: a gain of {gain:.4f}"
    return _Answer(gain, passed, f"{compared}, {'at least' if passed else 'less than'} {threshold:.4f}")


def _judge_tpu_share(placement: TpuPlacement, threshold: float) -> _Answer:
    """Pass where the share of operations on the Edge TPU is known and reaches the threshold."""
    total, on_tpu = placement.ops_total, placement.ops_on_tpu
    # A model without operations has no share, and a damaged record may hold anything.
    if not _is_number(total) or not _is_number(on_tpu) or total <= 0:
        return _Answer(None, False, f"the share of operations on the Edge TPU is unknown ({on_tpu} of {total})")
    share = _Measured(f"share of operations on the Edge TPU ({on_tpu} of {total})", on_tpu / total)
    return _judge_minimum(share, threshold)


def _judge_compiled(placement: TpuPlacement, _threshold: float) -> _Answer:
    """Pass where edgetpu_compiler compiled the model."""
    passed = placement.compiled is True
    return _Answer(float(passed), passed, f"{'' if passed else 'not '}compiled for the Edge TPU")


def _judge_minimum(measured: _Measured, threshold: float) -> _Answer:
    """Pass where a number of the shipped model is known and reaches the threshold."""
    what, value = measured
    if not _is_number(value):
        return _Answer(None, False, f"{what} of the shipped model is unknown ({value})")
    passed = value + _ROUNDING >= threshold
    return _Answer(value, passed, f"{what} {value:.4f} {'reaches' if passed else 'is below'} {threshold:.4f}")


def _judge_drop(before: _Measured, after: _Measured, threshold: float) -> _Answer:
    """Pass where both mAPs are known and the second is at most the threshold below the first."""
    if not _is_number(before.value):
        return _unknown_map(before)
    if not _is_number(after.value):
        return _unknown_map(after)
    drop = before.value - after.value
    passed = drop <= threshold + _ROUNDING
    compared = f"mAP {after.value:.4f} of {after.what} against {before.value:.4f} of {before.what}"
    relation = "within" if passed else "more than"
    return _Answer(drop, passed, f"{compared}: a drop of {drop:.4f}, {relation} {threshold:.4f}")


def _baseline(scores: Scores) -> _Measured:
    return _Measured(f"the serving version {scores.baseline_version}", _get(scores.baseline, "map"))


def _unknown_map(measured: _Measured) -> _Answer:
    return _Answer(None, False, f"mAP of {measured.what} is unknown ({measured.value})")


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _get(metrics: Optional[CocoMetrics], name: str) -> Optional[float]:
    return None if metrics is None else getattr(metrics, name)


_FIRST_RUN = _Answer(None, True, "first run: no baseline serves yet")

# Each rule's name, which is its threshold's in GateSettings, and what judges by it.
_SCORE_RULES: tuple[_Rule[Scores], ...] = (
    ("min_map", _judge_map),
    ("min_map_50", _judge_map_50),
    ("min_class_ap", _judge_classes),
    (QUANTIZATION_RULE, _judge_quantization),
    ("max_regression", _judge_regression),
    ("min_improvement", _judge_improvement),
)
_PLACEMENT_RULES: tuple[_Rule[TpuPlacement], ...] = (
    ("min_edgetpu_ops", _judge_tpu_share),
    ("edgetpu_compiled", _judge_compiled),
)
