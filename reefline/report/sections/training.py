"""The section on training: its curves, where it started, why it stopped, and what it chose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reefline.report.charts import line_chart
from reefline.report.section import Section, render
from reefline.report.sources import RunSources
from reefline.structures.artifacts import ModelRunFolder
from reefline.system.terminal import format_duration
from reefline.training.history import TrainingPoint, read_history
from reefline.training.report import EvaluationPoint, StopReason, TrainingReport, TrainingState

if TYPE_CHECKING:
    from markupsafe import Markup


@dataclass(frozen=True)
class TrainingFacts:
    """What a training run did, also one that did not finish; `best` is None if it was never evaluated.

    `stop_reason` is a sentence, `duration` hours:minutes:seconds, `config` the pipeline.config, "" if there is none.
    """

    started_from: str
    steps: int
    best: EvaluationPoint | None
    stop_reason: str
    duration: str
    evaluations: tuple[EvaluationPoint, ...]
    history: tuple[TrainingPoint, ...]
    config: str


def make_training_section(sources: RunSources) -> Section | None:
    """Return the section, None if the run did not reach training.

    Raises:
        RecordError: a file of the training run is damaged.
    """
    facts = gather_training(sources.model_run) if sources.model_run else None
    if facts is None:
        return None
    html = render("training.html", facts=facts, charts=_draw(facts.history, facts.evaluations))
    return Section("training", "Training", html)


def gather_training(run: ModelRunFolder) -> TrainingFacts | None:
    """Return what a training run's folder tells, None if training did not begin.

    Raises:
        RecordError: a file is damaged.
    """
    history, config = read_history(run.history), _read_text(run.pipeline_config)
    if run.report.is_file():
        report = TrainingReport.read(run.report)
        state = TrainingState(report.steps, report.seconds, report.evaluations, report.started_from)
        stop_reason = _describe_stop(report.stop_reason, state)
    elif history or config or run.state.is_file():
        state, stop_reason = TrainingState.read(run.state), "Training did not finish."
    else:
        return None
    return TrainingFacts(
        started_from=state.started_from or "New weights.",
        steps=max(state.step, history[-1].step if history else 0),
        best=state.best,
        stop_reason=stop_reason,
        duration=format_duration(state.seconds),
        evaluations=state.evaluations,
        history=history,
        config=config,
    )


def _describe_stop(reason: StopReason, state: TrainingState) -> str:
    if reason is StopReason.EARLY_STOPPING:
        since = state.evaluations_since_best
        return f"Early stopping: no improvement in the last {since} evaluation{'' if since == 1 else 's'}."
    return "All steps are done."


def _draw(history: Sequence[TrainingPoint], evaluations: Sequence[EvaluationPoint]) -> tuple[Markup, ...]:
    """Return the charts that have anything to show."""
    losses = {
        "train": [(point.step, point.loss) for point in history],
        "eval": [(point.step, point.loss) for point in evaluations if point.loss is not None],
    }
    precisions = {
        "mAP": [(point.step, point.map) for point in evaluations if point.map is not None],
        "mAP at IoU 0.50": [(point.step, point.map_50) for point in evaluations if point.map_50 is not None],
    }
    rates = [(point.step, point.learning_rate) for point in history]
    charts = []
    if any(losses.values()):
        charts.append(line_chart("Loss", "step", "loss", losses))
    if any(precisions.values()):
        highest = max(value for points in precisions.values() for _, value in points)
        top = min(1.0, math.ceil(highest * 10 + 0.5) / 10)
        charts.append(line_chart("mAP of the float model", "step", "mAP", precisions, y_range=(0, top)))
    if rates:
        charts.append(line_chart("Learning rate", "step", "learning rate", {"learning rate": rates}))
    return tuple(charts)


def _read_text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
