"""Queries of ML Metadata that take as long after a thousand runs as after the first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration.portable.input_resolution import channel_resolver


def find_unfinished(store: mlmd.MetadataStore) -> list[metadata_store_pb2.Execution]:
    """Return the executions that have neither finished nor failed."""
    return list(store.get_executions(mlmd.ListOptions(filter_query="last_known_state IN (NEW, RUNNING)")))


def find_inputs_by_query() -> None:
    """Make TFX find the executions behind an input with one query.

    For each input of each component, TFX 1.16 loads all executions of the pipeline, and drops those of other runs and
    components: seconds per run after 200 runs.
    """
    channel_resolver._get_executions_by_all_contexts = _find_by_all_contexts


def _find_by_all_contexts(store: mlmd.MetadataStore, contexts: Sequence[Any]) -> list[metadata_store_pb2.Execution]:
    """Return the executions that belong to all of the contexts."""
    if not contexts:
        return []
    query = " AND ".join(f"contexts_{number}.id = {context.id}" for number, context in enumerate(contexts))
    return list(store.get_executions(mlmd.ListOptions(filter_query=query)))
