"""The facts that two runs are compared with, as JSON for the page's script.

Two hundred runs have to fit into one page: names, config keys and values stand in tables once, and runs refer to them
by index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reefline.evaluation.scores import CocoMetrics
from reefline.report.image_list import ImageChanges
from reefline.report.run_facts import RunFacts, SummaryFacts

_DIGITS = 4
_METRICS = (
    ("mAP", "map"),
    ("mAP_50", "map_50"),
    ("mAP_75", "map_75"),
    ("mAP_small", "map_small"),
    ("mAP_medium", "map_medium"),
    ("mAP_large", "map_large"),
    ("AR_1", "ar_1"),
    ("AR_10", "ar_10"),
    ("AR_100", "ar_100"),
    ("AR_small", "ar_small"),
    ("AR_medium", "ar_medium"),
    ("AR_large", "ar_large"),
)


class _Table:
    """Texts by index, each once."""

    def __init__(self) -> None:
        self._index_of: dict[str, int] = {}

    def add(self, text: str) -> int:
        """Return the index of a text."""
        return self._index_of.setdefault(text, len(self._index_of))

    @property
    def texts(self) -> list[str]:
        """All texts, in the order of their indices."""
        return list(self._index_of)


def make_comparison(runs: Sequence[RunFacts], steps: Sequence[ImageChanges | None]) -> dict[str, Any]:
    """Return the facts of runs, oldest first; `steps` are the changes of images between neighbours.

    A run's `images` is the number of its data set, counted along the runs; `imageSteps[n]` leads from data set n to
    n + 1. Metrics are in the order of `metricNames`; per class: float AP, int8 AP, baseline AP, ground truth.
    """
    keys, values, classes = _Table(), _Table(), _Table()
    image_steps: list[dict[str, Any] | None] = []
    described, seen = [], ""
    for run, step in zip(runs, steps, strict=True):
        if run.image_list and seen and run.image_list != seen:
            image_steps.append(_describe_step(step))
        seen = run.image_list or seen
        config = run.config
        described.append(
            {
                "id": run.run_id,
                "started": run.started,
                "problem": run.problem,
                "config": None if config is None else {keys.add(key): values.add(text) for key, text in config.items()},
                "images": len(image_steps) if run.image_list else None,
                **(_describe_summary(run.summary, classes) if run.summary else {}),
            }
        )
    return {
        "metricNames": [name for name, _ in _METRICS],
        "keys": keys.texts,
        "values": values.texts,
        "classes": classes.texts,
        "imageSteps": image_steps,
        "runs": described,
    }


def _describe_step(step: ImageChanges | None) -> dict[str, Any] | None:
    if step is None:
        return None
    return {
        "counts": [step.added, step.removed, step.changed],
        "complete": step.is_complete,
        "changes": [[change.image, change.before, change.after] for change in step.changes],
    }


def _describe_summary(summary: SummaryFacts, classes: _Table) -> dict[str, Any]:
    metrics = summary.metrics
    columns = (metrics.float_model, metrics.int8, metrics.baseline)
    measured = [column for column in columns if column is not None]
    labels = {label: None for column in measured for label in column.per_class}
    return {
        "model": summary.model,
        "verdict": summary.verdict.value,
        "splits": {
            name: [counts.images, counts.boxes, {classes.add(label): n for label, n in counts.per_class.items()}]
            for name, counts in summary.splits.items()
        },
        "findings": dict(summary.findings),
        "metrics": [_list_metrics(column) for column in columns],
        "perClass": {classes.add(label): _describe_class(label, columns) for label in labels},
        "gate": [
            [result.rule, _round(result.value), _round(result.threshold), result.passed] for result in summary.gate
        ],
    }


def _list_metrics(metrics: CocoMetrics | None) -> list[float | None] | None:
    return None if metrics is None else [_round(getattr(metrics, field)) for _, field in _METRICS]


def _describe_class(label: str, columns: Sequence[CocoMetrics | None]) -> list[float | None]:
    found = [_get(column.per_class if column else {}, label) for column in columns]
    truth = next((one.groundtruth for one in found if one is not None), None)
    return [*(_round(one.ap) if one is not None else None for one in found), truth]


def _get(per_class: Mapping[str, Any], label: str) -> Any:
    return per_class.get(label)


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
