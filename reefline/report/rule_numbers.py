"""The number of a model that a rule of the gate is about, to compare the candidate with what serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from reefline.evaluation.scores import CocoMetrics


def read_compared(rule: str, metrics: CocoMetrics | None) -> float | None:
    """Return a model's number that a rule's value compares with, None if the rule or the model has none."""
    read = _COMPARED.get(rule)
    return read(metrics) if read and metrics else None


def _worst_class(metrics: CocoMetrics) -> float | None:
    return min((one.ap for one in metrics.per_class.values() if one.ap is not None), default=None)


_COMPARED: Mapping[str, Callable[[CocoMetrics], float | None]] = {
    "min_map": lambda metrics: metrics.map,
    "min_map_50": lambda metrics: metrics.map_50,
    "min_class_ap": _worst_class,
    "max_regression": lambda metrics: metrics.map,
    "min_improvement": lambda metrics: metrics.map,
}
