"""What KFP's launcher hands to a container: the ExecutorInput, read as plain JSON.

The formats are those of KFP 2.0 to 2.17 and of the release without ML Metadata: types arrive as `instanceSchema`, which
may be empty, or as `schemaTitle`; names and ids may be missing.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.kubeflow.artifact_types import read_title
from pipeline.kubeflow.contract import DATA_REFERENCE, DATA_VARIABLE, RUN_ID_PARAMETER, UNRESOLVED_PREFIX
from pipeline.kubeflow.uris import to_local_path
from reefline.errors import UsageError

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_INTEGER = "NUMBER_INTEGER"
_SYSTEM = "system."


@dataclass(frozen=True)
class RuntimeArtifact:
    """An artifact of a task: `title` is its type's, such as tfx.Examples, and "" where nothing names it."""

    uri: str
    title: str = ""
    name: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    custom_path: str = ""

    @property
    def is_system(self) -> bool:
        """Whether KFP keeps it for itself, such as `executor-logs`."""
        return self.title.startswith(_SYSTEM)

    @property
    def facts(self) -> dict[str, Any]:
        """The metadata, with integers where JSON has doubles: no fact that Reefline keeps is a whole double."""
        return {
            key: int(value) if isinstance(value, float) and value.is_integer() else value
            for key, value in self.metadata.items()
        }

    @property
    def path(self) -> Path:
        """Where the launcher puts it in the pod."""
        return Path(self.custom_path or to_local_path(self.uri))


@dataclass(frozen=True)
class ExecutorInput:
    """One task's inputs and outputs; `output_parameters` maps a name to the file that its value belongs in."""

    parameters: Mapping[str, Any]
    inputs: Mapping[str, RuntimeArtifact]
    outputs: Mapping[str, RuntimeArtifact]
    output_parameters: Mapping[str, str]
    output_file: str

    @property
    def run_id(self) -> str:
        """The run's id: the parameter where KFP filled it in, else from the place of the outputs; "" if unknown."""
        given = str(self.parameters.get(RUN_ID_PARAMETER, ""))
        if given and not given.startswith(UNRESOLVED_PREFIX):
            return given
        # KFP's layout: <root>/<pipeline>/<run id>/<task>/…
        places = [*(artifact.uri for artifact in self.outputs.values()), *self.output_parameters.values()]
        found = filter(None, map(_UUID.search, places))
        return next((match[0] for match in found), "")


def parse_executor_input(text: str, inputs_spec: str = "") -> ExecutorInput:
    """Read an ExecutorInput; `inputs_spec` is the component's ComponentInputsSpec as JSON, "" for none.

    Raises:
        UsageError: one of the two is not JSON, or a parameter is DATA_REFERENCE and DATA_VARIABLE is missing.
    """
    given, spec = _parse_object(text, "the executor input"), _parse_object(inputs_spec or "{}", "the inputs spec")
    inputs, outputs = given.get("inputs", {}), given.get("outputs", {})
    types = {key: read_title(one.get("artifactType", {})) for key, one in spec.get("artifacts", {}).items()}
    integers = {key for key, one in spec.get("parameters", {}).items() if one.get("parameterType") == _INTEGER}
    return ExecutorInput(
        parameters={
            key: _read_parameter(key, value, is_integer=key in integers)
            for key, value in inputs.get("parameterValues", {}).items()
        },
        inputs=_read_artifacts(inputs.get("artifacts", {}), types),
        outputs=_read_artifacts(outputs.get("artifacts", {}), {}),
        output_parameters={key: one["outputFile"] for key, one in outputs.get("parameters", {}).items()},
        output_file=outputs.get("outputFile", ""),
    )


def _parse_object(text: str, what: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{what} is not JSON ({error}); KFP's launcher passes it in place of {{{{$}}}}") from None
    if not isinstance(parsed, dict):
        raise UsageError(f"{what} is {type(parsed).__name__}; expected an object")
    return parsed


def _read_parameter(key: str, value: Any, *, is_integer: bool) -> Any:
    if is_integer and isinstance(value, float):
        return int(value)
    if value == DATA_REFERENCE:
        found = os.environ.get(DATA_VARIABLE)
        if not found:
            state = "not set" if found is None else "empty"
            raise UsageError(
                f"parameter {key}: the environment variable {DATA_VARIABLE} is {state}; compile the package again"
            )
        return found
    return value


def _read_artifacts(lists: Mapping[str, Any], types: Mapping[str, str]) -> dict[str, RuntimeArtifact]:
    """Return the first artifact of each list: no component of the pipeline has more."""
    return {
        key: _read_artifact(one["artifacts"][0], types.get(key, "")) for key, one in lists.items() if one["artifacts"]
    }


def _read_artifact(given: Mapping[str, Any], declared_title: str) -> RuntimeArtifact:
    return RuntimeArtifact(
        uri=given["uri"],
        title=read_title(given.get("type") or {}) or declared_title,
        name=given.get("name", ""),
        metadata=given.get("metadata") or {},
        custom_path=given.get("customPath", ""),
    )


def write_executor_output(task: ExecutorInput, artifacts: Mapping[str, Mapping[str, Any]]) -> None:
    """Write output_metadata.json: the metadata of each output; values are text or finite numbers.

    KFP parses it strictly: a null, a NaN or an unknown key fails the task.
    """
    written = {
        key: {"artifacts": [{"name": task.outputs[key].name, "uri": task.outputs[key].uri, "metadata": dict(metadata)}]}
        for key, metadata in artifacts.items()
    }
    path = Path(task.output_file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"artifacts": written}, allow_nan=False), encoding="utf-8")


def write_output_parameters(task: ExecutorInput, values: Mapping[str, str | int]) -> None:
    """Write each value to the file from which KFP's launcher reads the output parameter."""
    for name, value in values.items():
        path = Path(task.output_parameters[name])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(value), encoding="utf-8")
