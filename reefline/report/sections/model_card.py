"""The model card: what the model is for, what it was made from, and how well it does."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from reefline.config.run_config import RunConfig
from reefline.errors import ConfigError
from reefline.evaluation.scores import CocoMetrics, Precision
from reefline.od_api.model_config import load_template
from reefline.report.summary import RunRecords
from reefline.settings import GateSettings, StartKeyword, TrainerSettings
from reefline.training.starting_point import name_start

_NOT_STATED = "Not stated."


@dataclass(frozen=True)
class CardEntry:
    """One row of the card; `is_stated` where the text comes from the config, else it is a fact or a default."""

    title: str
    text: str
    is_stated: bool = False


def make_card(config: RunConfig, records: RunRecords) -> tuple[CardEntry, ...]:
    """Return the card's rows; where the config is silent, the row admits it."""
    card = config.model_card
    return (
        _state("Intended use", card.intended_use, _default_use(records)),
        _state(
            "Out of scope",
            card.out_of_scope,
            f"{_NOT_STATED} Other cameras, scenes and classes than those of the eval split were not tested.",
        ),
        _state("Limitations", card.limitations, _default_limitations(records)),
        _state("Owner", card.owner, _NOT_STATED),
        _state("Licence of the model", card.license, _NOT_STATED),
        *([CardEntry("Notes", card.notes, is_stated=True)] if card.notes.strip() else []),
        CardEntry("Data", _describe_data(records)),
        CardEntry("Metrics", _describe_metrics(records)),
        CardEntry("Confidence thresholds", _describe_thresholds(records)),
        CardEntry("Thresholds of the gate", _describe_gate(config.gate)),
        CardEntry("Licence of the start weights", _describe_start(config.trainer)),
    )


def _state(title: str, text: str, default: str) -> CardEntry:
    return CardEntry(title, text.strip(), is_stated=True) if text.strip() else CardEntry(title, default)


def _list_classes(records: RunRecords) -> str:
    return ", ".join(dict.fromkeys(label for counts in records.splits.values() for label in counts.per_class))


def _default_use(records: RunRecords) -> str:
    if not records.splits:
        return _NOT_STATED
    return f"{_NOT_STATED} The model was trained to detect: {_list_classes(records)}."


def _default_limitations(records: RunRecords) -> str:
    counts = records.splits.get("eval")
    if counts is None:
        return _NOT_STATED
    rare = [label for label, boxes in counts.per_class.items() if boxes < 10]
    few = f" Fewer than 10 boxes to measure: {', '.join(rare)}." if rare else ""
    return f"{_NOT_STATED} The metrics come from {counts.images:,} images of the eval split.{few}"


def _describe_data(records: RunRecords) -> str:
    if not records.splits:
        return "None: ingestion did not finish."
    splits = ", ".join(f"{name} {counts.images:,}" for name, counts in records.splits.items())
    boxes: Counter[str] = Counter()
    for counts in records.splits.values():
        boxes.update(counts.per_class)
    classes = ", ".join(f"{label} {number:,}" for label, number in boxes.items())
    images = sum(counts.images for counts in records.splits.values())
    return f"{images:,} images ({splits}); boxes: {classes}. When the images were taken is not recorded."


def _describe_metrics(records: RunRecords) -> str:
    if records.evaluation is None:
        return "None: the model was not evaluated."
    scores = records.evaluation.scores
    name = "int8" if scores.shipped_precision is Precision.INT8 else "float"
    before = f" Before conversion: {_describe_map(scores.float_model)}." if scores.float_model else ""
    return f"Shipped model ({name}): {_describe_map(scores.shipped)}.{before}"


def _describe_map(metrics: CocoMetrics | None) -> str:
    if metrics is None or metrics.map is None or metrics.map_50 is None:
        return "no mAP, as the eval split has no ground truth"
    return f"mAP {metrics.map:.3f}, mAP at IoU 0.50 {metrics.map_50:.3f}"


def _describe_thresholds(records: RunRecords) -> str:
    """Return what `reefline detect` uses by default."""
    found = records.evaluation.thresholds if records.evaluation else {}
    known = [f"{label} {value:.2f}" for label, value in found.items() if value is not None]
    return f"{', '.join(known)}: the best F1 on the eval split." if known else "None was suggested."


def _describe_gate(gate: GateSettings) -> str:
    """Return the rules with their thresholds; a rule that is on or off has none."""
    # By identity: a threshold of 0 equals False.
    rules = [
        name if value is True else f"{name} {value}"
        for name, value in gate.model_dump(mode="json").items()
        if value is not None and value is not False
    ]
    return ", ".join(rules) or "None: no rule is set."


def _describe_start(settings: TrainerSettings) -> str:
    """Return the licence of what training started from, as far as Reefline knows it."""
    template = load_template(settings.model)
    named = name_start(settings.start, template)
    if settings.start.keyword is StartKeyword.SERVING:
        return f"That of the serving model; the first run started from {named.source}."
    if named.is_new_weights:
        return "None applies: training started from new weights."
    if named.keyword is StartKeyword.PUBLISHED and template.published is not None:
        return f"{template.published.license}; the weights know {template.published.knows}."
    return f"Unknown to Reefline: training started from {named.source}."


def read_card(config: str, records: RunRecords) -> tuple[CardEntry, ...]:
    """Return the card of a config as JSON; nothing where the run had no valid config or its template is gone."""
    try:
        return make_card(RunConfig.from_json(config), records) if config else ()
    except ConfigError:
        return ()
