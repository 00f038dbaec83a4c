"""Records, artifacts and pages of runs that never ran: blessed, refused and failed ones."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from reefline.data.reports import SplitCounts
from reefline.edgetpu.placement_report import PlacedOp, Placement
from reefline.edgetpu.record import EdgeTpuRecord, PlacementSource
from reefline.evaluation.report import EvaluationReport, GateResult
from reefline.evaluation.scores import ClassMetrics
from reefline.findings import Action, Finding
from reefline.report.page import PageHeader, assemble_page
from reefline.report.section import Section
from reefline.report.sections.edge_tpu import make_edge_tpu_section
from reefline.report.sections.quality import make_quality_section
from reefline.report.sections.training import make_training_section
from reefline.report.sections.verdict import make_verdict_section
from reefline.report.sources import RunSources
from reefline.report.summary import Failure, Pushed, RunRecords, Verdict, decide_verdict
from reefline.structures.artifacts import ModelRunFolder
from reefline.training.history import TrainingHistory, TrainingPoint
from reefline.training.report import EvaluationPoint, StopReason, TrainingReport, TrainingState
from tests.factories_evaluation import make_metrics, make_scores
from tests.factories_quality import make_split, write_exported_model, write_scores

# Names of classes, models and files, as a data set could have them.
HOSTILE_NAMES = (
    "<script>window.owned = 1</script>",
    "\"><img src=x onerror='window.owned = 1'>",
    "</style></script><svg onload=window.owned=1>",
    "\u202egnp.tac\u202c \u2067שלום\u2069",
    "{{ 7 * 7 }} ${7*7} $\\frac{1}{2}$ \\u003c",
    "x" * 10_000,
)


def make_evaluation(*, blessed: bool = True, labels: tuple[str, ...] = ("cat", "dog")) -> EvaluationReport:
    """Return the gate's answer to a model that is better or worse than the one that serves."""
    value = 0.52 if blessed else 0.31
    per_class = {label: ClassMetrics(value, value, 12) for label in labels}
    scores = make_scores(
        make_metrics(value, per_class=per_class),
        float_model=make_metrics(0.53, per_class=per_class),
        baseline=make_metrics(0.47, per_class=per_class),
        baseline_version=3,
    )
    worst = f"AP of the worst class ({labels[0]!r}) {value:.4f} reaches 0.3000"
    drop = f"mAP {value:.4f} of the shipped int8 model against 0.5300 of the float model: a drop of {0.53 - value:.4f}"
    return EvaluationReport(
        scores,
        (
            GateResult(
                "min_map", value, 0.4, blessed, f"mAP {value:.4f} {'reaches' if blessed else 'is below'} 0.4000"
            ),
            GateResult("min_class_ap", value, 0.3, True, worst),
            GateResult("max_quantization_drop", 0.53 - value, 0.05, blessed, drop),
            GateResult("max_regression", 0.47 - value, 0.2, True, "within 0.2000"),
            GateResult("min_edgetpu_ops", 0.97, 0.9, True, "share of operations on the Edge TPU 0.9700"),
        ),
    )


def make_records(verdict: Verdict = Verdict.BLESSED, *, names: tuple[str, ...] = ("cat", "dog")) -> RunRecords:
    """Return the records of a run that ended in a verdict; a failed one stopped in Trainer. `names` are everywhere."""
    failed = verdict is Verdict.FAILED
    blessed = verdict is Verdict.BLESSED
    counts = SplitCounts(8, 20, dict.fromkeys(names, 10))
    lost = f"{names[0]}: the loss is NaN at step 120; lower trainer.learning_rate"
    return RunRecords(
        run_id="20260102T120000",
        model=names[-1],
        failure=Failure("Trainer", lost) if failed else None,
        splits={"train": counts, "eval": counts},
        findings=tuple(Finding(f"{name}.xml", 0, "box_degenerate", name, Action.DROPPED_BOX) for name in names),
        training=None if failed else make_training_report(),
        evaluation=None if failed else make_evaluation(blessed=blessed, labels=names),
        blessed=None if failed else blessed,
        edgetpu=EdgeTpuRecord(False, None, PlacementSource.PREDICTION, 100, 97, 3, 0, "no compiler"),
        pushed=Pushed(4, "workspace/serving/demo/4") if blessed else None,
        seconds={"VocExampleGen": 3.2, "Trainer": 187.0, "EdgeTpuExporter": 44.1},
    )


def make_evaluations(steps: int = 300) -> tuple[EvaluationPoint, ...]:
    """Return an evaluation every 50 steps; the last but one is the best."""
    points = [(step, 0.55 * (1 - math.exp(-step / 100))) for step in range(50, steps + 1, 50)]
    last_step, last_map = points[-1]
    points[-1] = (last_step, last_map - 0.05)
    return tuple(EvaluationPoint(step, value, min(1.0, value * 1.6), 1.2 - value) for step, value in points)


def make_training_report(
    steps: int = 300, reason: StopReason = StopReason.EARLY_STOPPING, started_from: str = ""
) -> TrainingReport:
    """Return the report of a training that ended at `steps`."""
    return TrainingReport(steps, steps - 50, reason, 187.4, make_evaluations(steps), started_from)


def write_training_run(
    root: Path, *, steps: int = 300, finished: bool = True, text: str = "ssd_mobilenet_v2"
) -> ModelRunFolder:
    """Write what Trainer leaves, without any checkpoint; `text` is in the config and in where it started from."""
    root.mkdir(parents=True, exist_ok=True)
    run = ModelRunFolder(root)
    history = TrainingHistory(run.history, resumed_step=0)
    for step in range(10, steps + 1, 10):
        rate = 0.08 * min(step / 50, 0.5 + 0.5 * math.cos(math.pi * step / steps))
        history.append(TrainingPoint(step, 1.4 * math.exp(-step / 150) + 0.03 * math.sin(step), rate))
    config = "\n".join(f'model {{ ssd {{ note: "{text}" line: {number} }} }}' for number in range(40))
    run.pipeline_config.write_text(config, encoding="utf-8")
    state = TrainingState(steps, 187.4, make_evaluations(steps), f"Started from {text}.")
    state.write(run.state)
    if finished:
        make_training_report(steps, started_from=state.started_from).write(run.report)
    return run


def make_sections(folder: Path, records: RunRecords) -> tuple[Section, ...]:
    """Return every section of a run's page, made from artifacts that are written into `folder`.

    A new section adds what it reads to the sources, and its maker to the list.
    """
    finished = decide_verdict(records) is not Verdict.FAILED
    model_run = write_training_run(folder / "model_run", finished=finished, text=records.model)
    sources = RunSources(model_run=model_run)
    if finished:
        names = tuple(records.splits["eval"].per_class)
        files = tuple(f"{name}.jpg" for name in names)
        scored = write_scores(folder / "scores", make_split(8, names, names=files))
        op = PlacedOp(0, names[0], 1, Placement.CPU, "the Edge TPU does not support this operator")
        model = write_exported_model(folder / "model", (op,), log=names[0])
        sources = replace(scored, model_run=model_run, model=model)
    made = (
        make_verdict_section(records),
        make_training_section(sources),
        make_quality_section(sources),
        make_edge_tpu_section(sources),
    )
    return tuple(section for section in made if section is not None)


def write_page(folder: Path, verdict: Verdict = Verdict.BLESSED, *, names: tuple[str, ...] = ("cat", "demo")) -> Path:
    """Write the page of a run that ended in `verdict`; `names` are what a data set could have called its classes."""
    folder.mkdir(parents=True, exist_ok=True)
    records = make_records(verdict, names=names)
    header = PageHeader(records.run_id, "2 January 2026, 12:00", verdict, "../index.html")
    html = assemble_page(records.model, make_sections(folder, records), header=header)
    page = folder / "index.html"
    page.write_text(html, encoding="utf-8")
    return page
