"""What a backend remembers: artifacts, executions and its cache."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.kubeflow.emulation.errors import BackendError
from tests.kubeflow.emulation.values import to_value


class TaskState(str, enum.Enum):
    """How a task ended."""

    DONE = "done"
    CACHED = "cached"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class StoredArtifact:
    """An output that was recorded; `title` is its type's."""

    id: int
    uri: str
    title: str
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class Outputs:
    """What one execution made."""

    artifacts: Mapping[str, StoredArtifact] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TaskRun:
    """One task of a run; `downloaded` is the bytes of each input artifact."""

    name: str
    state: TaskState
    outputs: Outputs = field(default_factory=Outputs)
    exit_code: int | None = None
    log: str = ""
    problem: str = ""
    seconds: float = 0.0
    downloaded: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class RunRecord:
    """One run of a package."""

    run_id: str
    tasks: Mapping[str, TaskRun]

    @property
    def succeeded(self) -> bool:
        """Whether KFP shows the run as succeeded."""
        return all(task.state in (TaskState.DONE, TaskState.CACHED) for task in self.tasks.values())

    def names(self, state: TaskState) -> list[str]:
        """Return the names of the tasks that ended so, in the order in which they ran."""
        return [task.name for task in self.tasks.values() if task.state is state]

    def explain(self) -> str:
        """Return what failed, for the message of an assertion."""
        failed = [task for task in self.tasks.values() if task.state is TaskState.FAILED]
        return "\n".join(f"{task.name}: exit {task.exit_code} {task.problem}\n{task.log[-6000:]}" for task in failed)


@dataclass
class Records:
    """The backend's database."""

    artifacts: list[StoredArtifact] = field(default_factory=list)
    cache: dict[tuple[str, str], Outputs] = field(default_factory=dict)

    def record_artifact(self, uri: str, title: str, metadata: Mapping[str, Any]) -> StoredArtifact:
        """Record an output and return it with its id."""
        artifact = StoredArtifact(len(self.artifacts) + 1, uri, title, metadata)
        self.artifacts.append(artifact)
        return artifact


def pass_through_ml_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata as it comes back from ML Metadata.

    Raises:
        BackendError: a value is null, for which MLMD has no type.
    """
    return {key: _pass_value(key, to_value(value)) for key, value in metadata.items()}


def _pass_value(key: str, value: Any) -> Any:
    if value is None:
        raise BackendError(f"metadata {key}: unknown/unsupported value type null")
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, list):
        return {"list": value}
    return {"struct": value} if isinstance(value, dict) else value
