"""Runs as ML Metadata keeps them: their executions, and the artifacts between them."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path


class ExecutionState(str, enum.Enum):
    """How far an execution has come."""

    RUNNING = "running"
    DONE = "done"
    CACHED = "cached"
    FAILED = "failed"


@dataclass(frozen=True)
class Maker:
    """The execution that produced an artifact; a cached artifact's maker belongs to an earlier run."""

    execution_id: int
    component: str
    run_id: str


@dataclass(frozen=True)
class ArtifactRecord:
    """An artifact: its folder as a path or URI, its custom properties, and what produced it."""

    id: int
    type: str
    uri: str
    properties: Mapping[str, int | float | str] = field(default_factory=dict)
    maker: Maker | None = None

    @property
    def folder(self) -> Path:
        """The artifact's folder; only for an artifact of this machine."""
        return Path(self.uri)


@dataclass(frozen=True)
class ExecutionRecord:
    """One component's part of a run; `inputs` and `outputs` have the artifacts by the component's own names.

    `ended` is None while it runs. Times are in UTC. A cached execution's outputs are those of an earlier run.
    """

    id: int
    component: str
    state: ExecutionState
    started: datetime.datetime
    ended: datetime.datetime | None
    properties: Mapping[str, int | float | str] = field(default_factory=dict)
    inputs: Mapping[str, ArtifactRecord] = field(default_factory=dict)
    outputs: Mapping[str, ArtifactRecord] = field(default_factory=dict)


@dataclass(frozen=True)
class RunRecord:
    """One run of the pipeline; `executions` are in the order in which they started."""

    run_id: str
    started: datetime.datetime
    executions: tuple[ExecutionRecord, ...] = ()

    @property
    def outputs(self) -> dict[str, ArtifactRecord]:
        """All output artifacts by "Component.key", cached ones included."""
        return {
            f"{execution.component}.{key}": artifact
            for execution in self.executions
            for key, artifact in execution.outputs.items()
        }

    def find(self, component: str) -> ExecutionRecord | None:
        """Return the last execution of a component, None if the run did not reach it."""
        return next((execution for execution in reversed(self.executions) if execution.component == component), None)

    def walk_back(self, artifact: ArtifactRecord) -> Iterator[ArtifactRecord]:
        """Yield an artifact and everything it was made from, each once: nearest first."""
        made_by = {output.id: execution for execution in self.executions for output in execution.outputs.values()}
        waiting, seen = [artifact], {artifact.id}
        while waiting:
            current = waiting.pop(0)
            yield current
            execution = made_by.get(current.id)
            inputs = execution.inputs.values() if execution else ()
            fresh = [used for used in inputs if used.id not in seen]
            seen |= {used.id for used in fresh}
            waiting += fresh
