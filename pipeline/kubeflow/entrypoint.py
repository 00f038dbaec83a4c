"""Runs one TFX component in a pod: `python -m pipeline.kubeflow.entrypoint` with the arguments that TFX compiles.

It calls the executor by itself: TFX's own run_executor imports every stock component, needs the types that KFP leaves
out of the executor input, and stumbles over the outputs that KFP adds.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.kubeflow.contract import RUN_ID_FACT, RUN_ID_PARAMETER, SECONDS_FACT, STARTED_FACT
from pipeline.kubeflow.data_source import provide
from pipeline.kubeflow.environment import prepare_environment
from pipeline.kubeflow.executor_input import (
    ExecutorInput,
    RuntimeArtifact,
    parse_executor_input,
    write_executor_output,
)
from pipeline.kubeflow.stop import PodTask, run_task
from pipeline.kubeflow.uris import UriMap
from reefline.errors import UsageError

if TYPE_CHECKING:
    from tfx.types.artifact import Artifact

_OWN_COMPONENTS = "components."
_MARKER = ".empty"
_DATA_DIR = "data_dir"


@dataclass(frozen=True)
class Invocation:
    """What the command line asks for; `beam_args` are all options that this entrypoint does not know."""

    executor_class_path: str
    task: ExecutorInput
    beam_args: tuple[str, ...]

    @property
    def component(self) -> str:
        """The folder in `components` of our own component, "" for one of TFX's."""
        path = self.executor_class_path
        return path.split(".")[1] if path.startswith(_OWN_COMPONENTS) else ""

    @property
    def name(self) -> str:
        """The component as summary.json names it: components.voc_example_gen → VocExampleGen."""
        folder = self.component or self.executor_class_path.removeprefix("tfx.components.").split(".")[0]
        return "".join(part.capitalize() for part in folder.split("_"))


def parse_arguments(arguments: Sequence[str]) -> Invocation:
    """Read the command line.

    Raises:
        UsageError: the executor input is malformed.
    """
    parser = argparse.ArgumentParser(prog="python -m pipeline.kubeflow.entrypoint")
    parser.add_argument("--executor_class_path", required=True)
    parser.add_argument("--json_serialized_invocation_args", required=True)
    parser.add_argument("--json_serialized_inputs_spec_args", default="")
    known, beam_args = parser.parse_known_args(arguments)
    task = parse_executor_input(known.json_serialized_invocation_args, known.json_serialized_inputs_spec_args)
    return Invocation(known.executor_class_path, task, tuple(beam_args))


def run_executor(invocation: Invocation) -> None:
    """Run the executor, and write what KFP keeps about the outputs.

    Raises:
        UsageError: the package was compiled from other code than the image's.
        Exception: whatever the executor raises.
    """
    task = invocation.task
    properties = {key: value for key, value in task.parameters.items() if key != RUN_ID_PARAMETER}
    if invocation.component:
        check_code(invocation.component, properties)
    if _DATA_DIR in properties:
        properties[_DATA_DIR] = provide(properties[_DATA_DIR])
    started, started_s = datetime.datetime.now(datetime.timezone.utc), time.monotonic()
    inputs = {key: one for key, one in task.inputs.items() if not one.is_system}
    outputs = {key: one for key, one in task.outputs.items() if not one.is_system}
    uris = UriMap.of((one.uri, str(one.path)) for one in (*inputs.values(), *outputs.values()))
    for one in (*inputs.values(), *outputs.values()):
        # The launcher makes an output's parent only, and no folder for an input without files.
        if not one.path.exists():
            one.path.mkdir(parents=True)
    given = {key: [_to_artifact(one, uris)] for key, one in inputs.items()}
    made = {key: [_to_artifact(one, uris)] for key, one in outputs.items()}
    _make_executor(invocation).Do(given, made, properties)
    facts = {
        RUN_ID_FACT: task.run_id,
        STARTED_FACT: started.isoformat(timespec="seconds"),
        SECONDS_FACT: round(time.monotonic() - started_s, 3),
    }
    for one in outputs.values():
        _mark_if_empty(one.path)
    write_executor_output(task, {key: {**_to_metadata(made[key][0], uris), **facts} for key in outputs})


def check_code(component: str, properties: Mapping[str, Any]) -> None:
    """Check that the package's code is the image's: a task's cache key would otherwise name code that did not run.

    Raises:
        UsageError: they differ.
    """
    from pipeline.component_code import recompute_code

    found, expected = recompute_code(component, properties), properties.get("code", "")
    if found != expected:
        raise UsageError(
            f"components.{component}: the package was compiled from other code (fingerprint {expected[:12]}) than this "
            f"image has ({found[:12]}); compile it inside the image that it names"
        )


def _make_executor(invocation: Invocation) -> Any:
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor

    module, _, name = invocation.executor_class_path.rpartition(".")
    executor_class = getattr(importlib.import_module(module), name)
    is_beam = issubclass(executor_class, BaseBeamExecutor)
    arguments = {"beam_pipeline_args" if is_beam else "extra_flags": list(invocation.beam_args)}
    context = executor_class.Context(
        tmp_dir=tempfile.mkdtemp(prefix="reefline-"),
        unique_id="task",
        pipeline_run_id=invocation.task.run_id,
        **arguments,
    )
    return executor_class(context)


def _to_artifact(given: RuntimeArtifact, uris: UriMap) -> Artifact:
    """Return TFX's artifact: a property that its type declares, any other as a custom one.

    Raises:
        UsageError: the type is not one of TFX's.
    """
    artifact = _find_type(given.title, given.uri)()
    artifact.uri = str(given.path)
    declared = artifact.PROPERTIES or {}
    for key, value in given.facts.items():
        if isinstance(value, str):
            value = uris.to_path(value)
        if key in declared:
            setattr(artifact, key, value)
        elif isinstance(value, str):
            artifact.set_string_custom_property(key, value)
        elif isinstance(value, int):
            artifact.set_int_custom_property(key, value)
        elif isinstance(value, float):
            artifact.set_float_custom_property(key, value)
        else:
            artifact.set_json_value_custom_property(key, value)
    return artifact


def _find_type(title: str, uri: str) -> type[Artifact]:
    from tfx.types import standard_artifacts
    from tfx.types.experimental import simple_artifacts

    name = title.removeprefix("tfx.")
    for module in (standard_artifacts, simple_artifacts):
        if title.startswith("tfx.") and hasattr(module, name):
            found: type[Artifact] = getattr(module, name)
            return found
    raise UsageError(f"{uri}: its type is {title or 'unknown'}; expected one of TFX's, such as tfx.Examples")


def _to_metadata(artifact: Artifact, uris: UriMap) -> dict[str, Any]:
    mlmd = artifact.mlmd_artifact
    values = {key: getattr(value, value.WhichOneof("value")) for key, value in mlmd.properties.items()}
    for key, value in mlmd.custom_properties.items():
        kind = value.WhichOneof("value")
        is_json = kind == "struct_value"
        values[key] = artifact.get_json_value_custom_property(key) if is_json else getattr(value, kind)
    values = {key: value for key, value in values.items() if value is not None}
    return {key: uris.to_uri(value) if isinstance(value, str) else value for key, value in values.items()}


def _mark_if_empty(path: Path) -> None:
    """Put a file into an empty folder: an object store has no folders, and KFP refuses an output that is missing."""
    if path.is_dir() and not any(path.iterdir()):
        (path / _MARKER).touch()


def main(arguments: Sequence[str]) -> int:
    """Run one task and return the exit code: 0, 2 for what the user can fix, 1 for anything unexpected."""
    prepare_environment()

    def read() -> PodTask:
        invocation = parse_arguments(arguments)
        return PodTask(invocation.name, invocation.task, lambda: run_executor(invocation))

    return run_task(read)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
