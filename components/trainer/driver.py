"""The driver of Trainer: where training starts is part of the cache key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration.portable.data_types import ExecutionInfo
from tfx.types.artifact import Artifact

from components.driver import ResolvingDriver
from reefline.od_api.model_config import load_template
from reefline.settings import TrainerSettings
from reefline.training.serving_checkpoint import ServingCheckpoint, find_serving_checkpoint
from reefline.training.start_files import StartCache
from reefline.training.start_identity import StartIdentity
from reefline.training.starting_point import identify_start, name_start

START_PROPERTY = "start"
# These, the inputs and the start define a training.
_SETTINGS = ("settings", "edge_tpu", "code")


class TrainerDriver(ResolvingDriver):
    """Resolves the weights to start from.

    `serving` means the checkpoint behind the serving bundle. Where this very training (equal settings, code and data)
    made that bundle, it means what that training started from, so that a second run with nothing changed finds its
    result in the cache instead of training on and on. ML Metadata lists the earlier trainings.
    """

    def resolve(self, execution_info: ExecutionInfo) -> Mapping[str, int | str]:
        """Return `start`: a StartIdentity as text, "" for new weights.

        Raises:
            BundleError: the serving bundle, or the bundle to start from, is damaged.
            CheckpointError: the weights to start from are missing or changed.
        """
        properties = execution_info.exec_properties
        home = properties["serving_home"]
        serving = find_serving_checkpoint(home) if home else None
        if serving is None:
            return {START_PROPERTY: str(_identify(properties))}
        start = self._find_start_of_equal_training(serving, properties, execution_info.input_dict)
        if start is None:
            serving.check()
            start = str(StartIdentity(serving=serving.prefix))
        return {START_PROPERTY: start}

    def _find_start_of_equal_training(
        self, serving: ServingCheckpoint, properties: Mapping[str, Any], inputs: Mapping[str, Sequence[Artifact]]
    ) -> Optional[str]:
        """Return the start of the training behind the serving model; None where that training differs from this."""
        with self._mlmd_connection as connection:
            store = connection.store
            runs = store.get_artifacts_by_uri(str(serving.model_run))
            events = store.get_events_by_artifact_ids([run.id for run in runs])
            makers = {event.execution_id for event in events if event.type == metadata_store_pb2.Event.OUTPUT}
            if not makers:
                return None
            # The first execution made it; later ones found it in the cache.
            (maker,) = store.get_executions_by_id([min(makers)])
            used = {
                event.artifact_id
                for event in store.get_events_by_execution_ids([maker.id])
                if event.type == metadata_store_pb2.Event.INPUT
            }
        is_equal = all(maker.custom_properties[name].string_value == properties[name] for name in _SETTINGS)
        if is_equal and used == {artifact.id for artifacts in inputs.values() for artifact in artifacts}:
            return str(runs[0].custom_properties[START_PROPERTY].string_value)
        return None


def _identify(properties: Mapping[str, Any]) -> StartIdentity:
    settings = TrainerSettings.from_json(properties["settings"])
    template = load_template(settings.model)
    memory = properties["start_memory"]
    cache = StartCache(workspace_memory=Path(memory) if memory else None)
    return identify_start(name_start(settings.start, template), template, cache)
