"""KFP's launcher: fetches the inputs, runs the container's command, and collects what it left."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from tests.kubeflow.emulation.driver import LOGS
from tests.kubeflow.emulation.errors import BackendError
from tests.kubeflow.emulation.package import Task
from tests.kubeflow.emulation.placeholders import fill_placeholders
from tests.kubeflow.emulation.pod import Pod
from tests.kubeflow.emulation.processes import Call, Processes
from tests.kubeflow.emulation.records import Outputs, Records, TaskRun, TaskState, pass_through_ml_metadata
from tests.kubeflow.emulation.store import ObjectStore
from tests.kubeflow.emulation.values import read_text, to_value
from tests.kubeflow.emulation.variants import Variant


@dataclass(frozen=True)
class Launcher:
    """Runs tasks in pods; `code` is the folder that stands for the image's working folder."""

    store: ObjectStore
    records: Records
    variant: Variant
    processes: Processes
    code: Path

    def run(
        self,
        task: Task,
        executor_input: Mapping[str, Any],
        pod: Pod,
        env: Mapping[str, str],
        volumes: Mapping[str, Path],
        kill_when: Callable[[], bool] | None = None,
    ) -> TaskRun:
        """Run one task; whatever goes wrong is in the result."""
        downloaded = self._download(executor_input, pod)
        self._make_parent_folders(executor_input, pod)
        log = pod.on_host(pod.local_path(executor_input["outputs"]["artifacts"][LOGS]["artifacts"][0]["uri"]))
        command = [*task.container["command"], *task.container.get("args", ())]
        call = Call(
            tuple(fill_placeholders(command, executor_input, pod)), pod.environment(env, self.code), pod, log, volumes
        )
        started_s = time.monotonic()
        exit_code = self.processes.run(call, kill_when)
        seconds, text = time.monotonic() - started_s, log.read_text(encoding="utf-8", errors="replace")
        state, problem, outputs = TaskState.FAILED, "", Outputs()
        if exit_code == 0:
            try:
                outputs = self._collect(task, executor_input, pod)
                state = TaskState.DONE
            except BackendError as error:
                problem = str(error)
        return TaskRun(task.name, state, outputs, exit_code, text, problem, seconds, downloaded)

    def _download(self, executor_input: Mapping[str, Any], pod: Pod) -> dict[str, int]:
        return {
            key: self.store.download(
                given["artifacts"][0]["uri"],
                pod.on_host(pod.local_path(given["artifacts"][0]["uri"])),
                with_siblings=self.variant.downloads_siblings,
            )
            for key, given in executor_input["inputs"]["artifacts"].items()
        }

    def _make_parent_folders(self, executor_input: Mapping[str, Any], pod: Pod) -> None:
        outputs = executor_input["outputs"]
        for place in outputs["parameters"].values():
            pod.on_host(place["outputFile"]).parent.mkdir(parents=True, exist_ok=True)
        for given in outputs["artifacts"].values():
            pod.on_host(pod.local_path(given["artifacts"][0]["uri"])).parent.mkdir(parents=True, exist_ok=True)

    def _collect(self, task: Task, executor_input: Mapping[str, Any], pod: Pod) -> Outputs:
        outputs = executor_input["outputs"]
        reported = read_executor_output(pod.on_host(outputs["outputFile"]))
        parameters = {}
        for name, definition in task.definitions("output", "parameters").items():
            if name in reported.get("parameterValues", {}):
                parameters[name] = to_value(reported["parameterValues"][name])
                continue
            file = pod.on_host(outputs["parameters"][name]["outputFile"])
            if not file.is_file():
                raise BackendError(f"failed to read output parameter {name}: no such file")
            parameters[name] = read_text(file.read_text(encoding="utf-8"), definition["parameterType"])
        artifacts = {}
        for key, given in outputs["artifacts"].items():
            one = given["artifacts"][0]
            told = (reported.get("artifacts", {}).get(key, {}).get("artifacts") or [{}])[0]
            uri = told.get("uri") or one["uri"]
            is_there = self.store.upload(pod.on_host(pod.local_path(one["uri"])), uri)
            if not is_there and self.variant.missing_outputs_fail:
                raise BackendError(f"output {key}: nothing was written to {one['uri']}")
            metadata = self._record_metadata(key, told.get("metadata", {}))
            artifacts[key] = self.records.record_artifact(uri, self._read_title(one["type"]), metadata)
        del artifacts[LOGS]
        return Outputs(artifacts, parameters)

    def _read_title(self, kind: Mapping[str, str]) -> str:
        if "schemaTitle" in kind:
            return kind["schemaTitle"]
        if not self.variant.reads_schemas:
            raise BackendError(f"unknown artifact type: {kind['instanceSchema']}")
        return kind["instanceSchema"].splitlines()[0].removeprefix("title:").strip()

    def _record_metadata(self, key: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
        if self.variant.has_types:
            return {name: to_value(value) for name, value in metadata.items()}
        kept = pass_through_ml_metadata(metadata)
        return {"display_name": key, "store_session_info": '{"Provider":"minio"}', **kept}


def read_executor_output(path: Path) -> dict[str, Any]:
    """Return output_metadata.json as an ExecutorOutput, {} if the container wrote none.

    Raises:
        BackendError: it is not exactly that message, or holds a number that JSON does not have, or a null.
    """
    if not path.is_file():
        return {}
    text = path.read_text(encoding="utf-8")
    message = pipeline_spec_pb2.ExecutorOutput()
    try:
        json.loads(text, parse_constant=_refuse_constant)
        # Unknown fields are errors.
        json_format.Parse(text, message)
    except (ValueError, json_format.ParseError) as error:
        raise BackendError(f"failed to unmarshal ExecutorOutput: {error}") from None
    parsed: dict[str, Any] = json_format.MessageToDict(message)
    for key, given in parsed.get("artifacts", {}).items():
        for one in given.get("artifacts", ()):
            nulls = [name for name, value in one.get("metadata", {}).items() if value is None]
            if nulls:
                raise BackendError(f"output {key}: metadata {', '.join(nulls)}: unknown/unsupported value type null")
    return parsed


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
