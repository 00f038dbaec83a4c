"""A task's inputs as the outputs of the run that the report reads."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from pipeline.kubeflow.contract import RUN_ID_FACT, SECONDS_FACT, STARTED_FACT
from pipeline.kubeflow.executor_input import RuntimeArtifact
from reefline.lineage.records import ArtifactRecord, ExecutionRecord, ExecutionState, Maker, RunRecord

# By the name that every component uses for it. Examples are missing on purpose: no report reads them, and KFP fetches
# each input of a task completely.
PRODUCERS = {
    "report": "VocExampleGen",
    "label_map": "VocExampleGen",
    "statistics": "StatisticsGen",
    "schema": "ImportSchemaGen",
    "anomalies": "ExampleValidator",
    "findings": "AnnotationValidator",
    "preflight": "EdgeTpuPreflight",
    "model_run": "Trainer",
    "model": "EdgeTpuExporter",
    "baseline": "ServingBundle",
    "scores": "ModelScorer",
    "evaluation": "Evaluator",
    "blessing": "Evaluator",
    "pushed_model": "Pusher",
    "review": "ReviewReport",
}


def name_outputs(inputs: Mapping[str, RuntimeArtifact]) -> dict[str, ArtifactRecord]:
    """Return a task's inputs by "Component.key"; each is where the launcher put it."""
    return {
        f"{PRODUCERS[key]}.{key}": _to_record(number, key, inputs[key])
        for number, key in enumerate(PRODUCERS, 1)
        if key in inputs
    }


def read_seconds(inputs: Mapping[str, RuntimeArtifact], run_id: str) -> dict[str, float]:
    """Return how long each component of this run took; one that KFP found in its cache took none."""
    seconds = {}
    for key, component in PRODUCERS.items():
        facts = inputs[key].metadata if key in inputs else {}
        if SECONDS_FACT in facts:
            seconds[component] = float(facts[SECONDS_FACT]) if facts.get(RUN_ID_FACT) == run_id else 0.0
    return seconds


def describe_run(inputs: Mapping[str, RuntimeArtifact], run_id: str) -> RunRecord:
    """Return the run as far as its artifacts tell: KFP's own metadata is not read."""
    executions: dict[str, ExecutionRecord] = {}
    for name, record in name_outputs(inputs).items():
        component, _, key = name.partition(".")
        facts = inputs[key].metadata
        before = executions.get(component)
        started = _read_time(facts.get(STARTED_FACT))
        executions[component] = ExecutionRecord(
            id=record.id,
            component=component,
            state=ExecutionState.DONE if facts.get(RUN_ID_FACT) == run_id else ExecutionState.CACHED,
            started=started,
            ended=started + datetime.timedelta(seconds=float(facts.get(SECONDS_FACT, 0.0))),
            outputs={**(before.outputs if before else {}), key: record},
        )
    own = [one.started for one in executions.values() if one.state is ExecutionState.DONE]
    return RunRecord(run_id, min(own, default=datetime.datetime.now(datetime.timezone.utc)), (*executions.values(),))


def _to_record(number: int, key: str, given: RuntimeArtifact) -> ArtifactRecord:
    facts = given.facts
    maker = Maker(number, PRODUCERS[key], str(facts.get(RUN_ID_FACT, "")))
    return ArtifactRecord(number, given.title.removeprefix("tfx."), str(given.path), facts, maker)


def _read_time(text: object) -> datetime.datetime:
    try:
        return datetime.datetime.fromisoformat(str(text))
    except ValueError:
        return datetime.datetime.now(datetime.timezone.utc)
