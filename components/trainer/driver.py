"""The driver of Trainer: where a warm start begins is part of the cache key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.components.base import base_driver as component_driver
from tfx.orchestration import data_types_utils, metadata
from tfx.orchestration.portable import base_driver, data_types
from tfx.proto.orchestration import driver_output_pb2
from tfx.types.artifact import Artifact

from reefline.training.serving_checkpoint import ServingCheckpoint, find_serving_checkpoint

WARM_START_PROPERTY = "warm_start_checkpoint"
# What makes a training what it is, besides its inputs and its start.
_SETTINGS = ("settings", "edge_tpu", "code")


class TrainerDriver(component_driver.BaseDriver, base_driver.BaseDriver):
    """Puts the checkpoint to start from into the exec properties, "" for none.

    That is the one behind the bundle that serves. Where that bundle came from this very training (equal settings, code
    and data), it is what that training started from, so that a second run with nothing changed finds its result in the
    cache instead of training on and on. What trainings there were is asked of ML Metadata.
    """

    def __init__(self, metadata_handle: metadata.Metadata) -> None:
        """Keep the connection, which TFX hands to every driver."""
        component_driver.BaseDriver.__init__(self, metadata_handle)
        base_driver.BaseDriver.__init__(self, metadata_handle)

    def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """Return the exec property `warm_start_checkpoint`.

        Raises:
            BundleError: what serves is damaged.
            CheckpointError: the checkpoint to start from is not there any more.
        """
        properties = execution_info.exec_properties
        home = properties["warm_start_from"]
        serving = find_serving_checkpoint(Path(home)) if home else None
        checkpoint = ""
        if serving is not None:
            start = self._find_start_of_equal_training(serving, properties, execution_info.input_dict)
            if start is None:
                serving.check()
            checkpoint = serving.prefix if start is None else start
        output = driver_output_pb2.DriverOutput()
        data_types_utils.set_metadata_value(output.exec_properties[WARM_START_PROPERTY], checkpoint)
        return output

    def _find_start_of_equal_training(
        self, serving: ServingCheckpoint, properties: Mapping[str, Any], inputs: Mapping[str, Sequence[Artifact]]
    ) -> Optional[str]:
        """Return what the serving model's training started from if it was equal to this one; None if it was not."""
        with self._mlmd_connection as connection:
            store = connection.store
            runs = store.get_artifacts_by_uri(str(serving.model_run))
            events = store.get_events_by_artifact_ids([run.id for run in runs])
            makers = {event.execution_id for event in events if event.type == metadata_store_pb2.Event.OUTPUT}
            if not makers:
                return None
            # The first made it; later ones found it in the cache.
            (maker,) = store.get_executions_by_id([min(makers)])
            taken = {
                event.artifact_id
                for event in store.get_events_by_execution_ids([maker.id])
                if event.type == metadata_store_pb2.Event.INPUT
            }
        is_equal = all(maker.custom_properties[name].string_value == properties[name] for name in _SETTINGS)
        if is_equal and taken == {artifact.id for artifacts in inputs.values() for artifact in artifacts}:
            return str(runs[0].custom_properties[WARM_START_PROPERTY].string_value)
        return None
