"""The only door to ML Metadata: reads the runs in a workspace's metadata.db.

The file is opened read-only, so that a run under way can be read. TFX keeps each run as a context of type
"pipeline_run", whose name is the run's id.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reefline.errors import RecordError
from reefline.lineage.records import ArtifactRecord, ExecutionRecord, ExecutionState, Maker, RunRecord
from reefline.system.files import is_out_of_space

if TYPE_CHECKING:
    from ml_metadata.proto import metadata_store_pb2

_RUN_CONTEXT = "pipeline_run"
# SQLite's messages end with the query.
_SHOWN_CHARACTERS = 80


def read_runs(metadata_db: Path) -> tuple[RunRecord, ...]:
    """Return all runs, newest first; none where the file does not exist yet.

    Raises:
        RecordError: the file is damaged, or not ML Metadata's.
    """
    runs = _read(metadata_db, None)
    return tuple(sorted(runs, key=lambda run: (run.started, run.run_id), reverse=True))


def read_run(metadata_db: Path, run_id: str) -> RunRecord | None:
    """Return one run; None if it does not exist, for example because it stopped before its first component.

    Raises:
        RecordError: the file is damaged, or not ML Metadata's.
    """
    return next(iter(_read(metadata_db, run_id)), None)


def find_store_problem(metadata_db: Path) -> str | None:
    """Return why a run could not use a SQLite file, None if it can; missing tables are added, as a run would.

    It may be another program's, of another version of ML Metadata, or have lost tables.
    """
    from ml_metadata import errors
    from ml_metadata.metadata_store import metadata_store
    from ml_metadata.proto import metadata_store_pb2

    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(metadata_db)
    config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE
    try:
        metadata_store.MetadataStore(config).get_context_types()
    except (errors.StatusError, RuntimeError) as error:
        if is_out_of_space(error):
            raise
        return _shorten(error)
    return None


def _read(metadata_db: Path, run_id: str | None) -> list[RunRecord]:
    if not metadata_db.is_file():
        return []
    from ml_metadata import errors
    from ml_metadata.metadata_store import metadata_store
    from ml_metadata.proto import metadata_store_pb2

    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(metadata_db)
    config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READONLY
    try:
        store = metadata_store.MetadataStore(config)
        if run_id is None:
            contexts = store.get_contexts_by_type(_RUN_CONTEXT)
        else:
            found = store.get_context_by_type_and_name(_RUN_CONTEXT, run_id)
            contexts = [found] if found is not None else []
        return _read_contexts(store, contexts)
    # SQLite's own errors reach Python as RuntimeError.
    except (errors.StatusError, RuntimeError) as error:
        raise RecordError(f"{metadata_db}: cannot read ML Metadata ({_shorten(error)})") from error


def _shorten(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:_SHOWN_CHARACTERS]


def _read_contexts(store: Any, contexts: Sequence[Any]) -> list[RunRecord]:
    executions_of = {context.name: store.get_executions_by_context(context.id) for context in contexts}
    run_of = {execution.id: run_id for run_id, executions in executions_of.items() for execution in executions}
    if not run_of:
        return [RunRecord(context.name, _to_time(context.create_time_since_epoch)) for context in contexts]
    component_of = {e.id: _name_component(e) for executions in executions_of.values() for e in executions}
    events = store.get_events_by_execution_ids(list(run_of))
    artifacts = _read_artifacts(store, {event.artifact_id for event in events}, run_of, component_of)
    inputs: dict[int, dict[str, ArtifactRecord]] = {execution_id: {} for execution_id in run_of}
    outputs: dict[int, dict[str, ArtifactRecord]] = {execution_id: {} for execution_id in run_of}
    for event in events:
        side = outputs if _is_output(event) else inputs
        side[event.execution_id][event.path.steps[0].key] = artifacts[event.artifact_id]
    return [
        RunRecord(
            context.name,
            _to_time(context.create_time_since_epoch),
            tuple(
                _to_execution(execution, component_of[execution.id], inputs[execution.id], outputs[execution.id])
                for execution in sorted(executions_of[context.name], key=lambda execution: execution.id)
            ),
        )
        for context in contexts
    ]


def _read_artifacts(
    store: Any, ids: Collection[int], run_of: Mapping[int, str], component_of: Mapping[int, str]
) -> dict[int, ArtifactRecord]:
    """Return artifacts by id, each with its maker: the first execution that has it as an output."""
    if not ids:
        return {}
    makers: dict[int, int] = {}
    for event in store.get_events_by_artifact_ids(list(ids)):
        if _is_output(event):
            makers[event.artifact_id] = min(event.execution_id, makers.get(event.artifact_id, event.execution_id))
    known = {
        **{id_: Maker(id_, component_of[id_], run_of[id_]) for id_ in set(makers.values()) & run_of.keys()},
        **_read_makers(store, set(makers.values()) - run_of.keys()),
    }
    return {
        artifact.id: ArtifactRecord(
            artifact.id,
            artifact.type,
            artifact.uri,
            _to_properties(artifact.custom_properties),
            known.get(makers.get(artifact.id, -1)),
        )
        for artifact in store.get_artifacts_by_id(list(ids))
    }


def _read_makers(store: Any, execution_ids: Collection[int]) -> dict[int, Maker]:
    """Return makers of other runs."""
    if not execution_ids:
        return {}
    makers = {}
    for execution in store.get_executions_by_id(list(execution_ids)):
        contexts = store.get_contexts_by_execution(execution.id)
        run_id = next((context.name for context in contexts if context.type == _RUN_CONTEXT), "")
        makers[execution.id] = Maker(execution.id, _name_component(execution), run_id)
    return makers


def _is_output(event: metadata_store_pb2.Event) -> bool:
    # Reusing an output from the cache is recorded as OUTPUT too.
    return event.type == event.OUTPUT


def _name_component(execution: metadata_store_pb2.Execution) -> str:
    """Return the component's name: TFX's execution type is the dotted name of its class."""
    return str(execution.type).rpartition(".")[2]


def _to_execution(
    execution: metadata_store_pb2.Execution,
    component: str,
    inputs: Mapping[str, ArtifactRecord],
    outputs: Mapping[str, ArtifactRecord],
) -> ExecutionRecord:
    state = _to_state(execution)
    return ExecutionRecord(
        id=execution.id,
        component=component,
        state=state,
        started=_to_time(execution.create_time_since_epoch),
        ended=None if state is ExecutionState.RUNNING else _to_time(execution.last_update_time_since_epoch),
        properties=_to_properties(execution.custom_properties),
        inputs=inputs,
        outputs=outputs,
    )


def _to_state(execution: metadata_store_pb2.Execution) -> ExecutionState:
    states = {
        execution.NEW: ExecutionState.RUNNING,
        execution.RUNNING: ExecutionState.RUNNING,
        execution.COMPLETE: ExecutionState.DONE,
        execution.CACHED: ExecutionState.CACHED,
    }
    return states.get(execution.last_known_state, ExecutionState.FAILED)


def _to_properties(properties: Any) -> dict[str, int | float | str]:
    """Return the properties that survive on every orchestrator: int, float and str."""
    values: Iterable[tuple[str, Any]] = ((name, properties[name]) for name in sorted(properties))
    kinds = {"int_value", "double_value", "string_value"}
    return {
        name: getattr(value, kind) for name, value in values if (kind := value.WhichOneof("value")) in kinds and kind
    }


def _to_time(epoch_ms: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(epoch_ms / 1000, tz=datetime.timezone.utc)
