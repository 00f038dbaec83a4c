"""Runs a compiled pipeline in this process, node by node, and records what happened to each."""

from __future__ import annotations

import copy
import enum
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.compiler import constants
from tfx.dsl.io import filesystem_registry
from tfx.dsl.io.plugins.local import LocalFilesystem
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import base_executor_operator, launcher, runtime_parameter_utils, tfx_runner
from tfx.proto.orchestration import executable_spec_pb2

from pipeline.local.metadata_queries import find_inputs_by_query, find_unfinished
from reefline.errors import ReeflineError


class NodeState(str, enum.Enum):
    """What happened to a node in this run."""

    STARTED = "started"
    DONE = "done"
    CACHED = "cached"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True)
class NodeRun:
    """One node of this run; `seconds` is wall-clock time, with the hashing of inputs and the cache lookup."""

    component: str
    state: NodeState
    seconds: float
    execution_id: Optional[int] = None


class DagRunner(tfx_runner.IrBasedRunner):
    """TFX's local runner with our run id, a report on each node, and a clean-up when one fails."""

    def __init__(self, run_id: str, report: Callable[[NodeRun], None]) -> None:
        """`report` is called when a node starts to execute and when it has ended."""
        self._run_id = run_id
        self._report = report
        self.node_runs: list[NodeRun] = []

    @property
    def broken_off_component(self) -> Optional[str]:
        """The node that failed or was stopped; None if there is none."""
        ends = (NodeState.FAILED, NodeState.STOPPED)
        return next((run.component for run in self.node_runs if run.state in ends), None)

    def run_with_ir(self, pipeline: Any, run_options: Any = None) -> None:
        """Run all nodes in order; `pipeline` is TFX's intermediate representation.

        Raises:
            Exception: what a component raised, unchanged; its outputs are deleted.
        """
        runtime_parameter_utils.substitute_runtime_parameter(
            pipeline, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: self._run_id}
        )
        deployment = runner_utils.extract_local_deployment_config(pipeline)
        connection = deployment.metadata_connection_config.database_connection_config
        pipeline_root = Path(pipeline.runtime_spec.pipeline_root.field_value.string_value)
        abandon_unfinished(connection, pipeline_root)
        find_inputs_by_query()
        for node in pipeline.nodes:
            component, started_s = node.pipeline_node.node_info.id, time.monotonic()
            try:
                run = self._run_node(pipeline, node.pipeline_node, deployment, connection)
            except BaseException as error:
                # TFX itself does not clean up after a KeyboardInterrupt.
                abandon_unfinished(connection, pipeline_root)
                state = NodeState.STOPPED if isinstance(error, KeyboardInterrupt) else NodeState.FAILED
                self._keep(NodeRun(component, state, time.monotonic() - started_s))
                raise
            self._keep(run)

    def _keep(self, run: NodeRun) -> None:
        self.node_runs.append(run)
        self._report(run)

    def _run_node(self, pipeline: Any, node: Any, deployment: Any, connection: Any) -> NodeRun:
        component, started_s = node.node_info.id, time.monotonic()

        def announce() -> None:
            self._report(NodeRun(component, NodeState.STARTED, 0.0))

        execution = _Launcher(
            pipeline_node=node,
            mlmd_connection=metadata.Metadata(connection),
            pipeline_info=pipeline.pipeline_info,
            pipeline_runtime_spec=pipeline.runtime_spec,
            executor_spec=runner_utils.extract_executor_spec(deployment, component),
            custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, component),
            custom_executor_operators={
                spec: _announcing(operator, announce) for spec, operator in launcher.DEFAULT_EXECUTOR_OPERATORS.items()
            },
        ).launch()
        execution_id = execution.execution_id if execution is not None else None
        state = _read_state(connection, execution_id)
        if state not in (NodeState.DONE, NodeState.CACHED):
            raise ReeflineError(f"{component}: its inputs are missing; see run.log next to the report")
        return NodeRun(component, state, time.monotonic() - started_s, execution_id)


class _Launcher(launcher.Launcher):
    """TFX's launcher with a cache key without the options of Beam: where the work is done changes no result."""

    def __init__(self, executor_spec: Any, **arguments: Any) -> None:
        super().__init__(executor_spec=executor_spec, **arguments)
        # The operator has the complete spec already; the launcher reads its own for the cache key.
        if isinstance(executor_spec, executable_spec_pb2.BeamExecutableSpec):
            spec = copy.deepcopy(executor_spec)
            spec.ClearField("beam_pipeline_args")
            spec.ClearField("beam_pipeline_args_placeholders")
            self._executor_spec = spec


def _announcing(operator_class: Any, announce: Callable[[], None]) -> type:
    """Return an executor operator that calls `announce` when the executor starts; a cached node has no executor run.

    TFX's operator is created then, too: creating it imports the executor.
    """

    class AnnouncingOperator(base_executor_operator.BaseExecutorOperator):
        SUPPORTED_EXECUTOR_SPEC_TYPE = operator_class.SUPPORTED_EXECUTOR_SPEC_TYPE
        SUPPORTED_PLATFORM_CONFIG_TYPE = operator_class.SUPPORTED_PLATFORM_CONFIG_TYPE

        def run_executor(self, execution_info: Any) -> Any:
            announce()
            operator = operator_class(self._executor_spec, self._platform_config)
            operator.with_execution_watcher(self._execution_watcher_address)
            return operator.run_executor(execution_info)

    return AnnouncingOperator


def _read_state(connection: Any, execution_id: Optional[int]) -> NodeState:
    if execution_id is None:
        return NodeState.FAILED
    states = {
        metadata_store_pb2.Execution.COMPLETE: NodeState.DONE,
        metadata_store_pb2.Execution.CACHED: NodeState.CACHED,
    }
    with metadata.Metadata(connection) as handle:
        (execution,) = handle.store.get_executions_by_id([execution_id])
    return states.get(execution.last_known_state, NodeState.FAILED)


def read_local_files_directly() -> None:
    """Make TFX use Python for local paths: by default it prefers TensorFlow, whose import takes seconds."""
    filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY.register(LocalFilesystem, priority=-1)


def abandon_unfinished(connection: Any, pipeline_root: Path) -> None:
    """Mark unfinished executions as failed and delete their files.

    The workspace is locked, so an unfinished execution belongs to this run or to one that was killed.
    """
    with metadata.Metadata(connection) as handle:
        executions = find_unfinished(handle.store)
        for execution in executions:
            execution.last_known_state = metadata_store_pb2.Execution.FAILED
        if executions:
            handle.store.put_executions(executions)
    for execution in executions:
        for pattern in (f"*/*/{execution.id}", f"*/.system/*/{execution.id}"):
            for folder in pipeline_root.glob(pattern):
                shutil.rmtree(folder, ignore_errors=True)
