"""The driver of Pusher: a bundle that was lost since has to be pushed again."""

from __future__ import annotations

from pathlib import Path

from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.components.base import base_driver as component_driver
from tfx.orchestration import data_types_utils, metadata
from tfx.orchestration.portable import base_driver, data_types
from tfx.proto.orchestration import driver_output_pb2

from reefline.bundle.layout import find_shipped_model
from reefline.bundle.manifest import read_manifest
from reefline.errors import BundleError
from reefline.system.files import hash_file


class PusherDriver(component_driver.BaseDriver, base_driver.BaseDriver):
    """Puts into the exec properties which earlier pushes of this very model are no longer there.

    TFX's cache knows that a push was done, not that somebody deleted the serving folder since: then the key has to
    change. Which pushes there were is asked of ML Metadata.
    """

    def __init__(self, metadata_handle: metadata.Metadata) -> None:
        """Keep the connection, which TFX hands to every driver."""
        component_driver.BaseDriver.__init__(self, metadata_handle)
        base_driver.BaseDriver.__init__(self, metadata_handle)

    def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """Return the exec property `lost_bundles`: ids of artifacts, with commas between; "" where none is lost.

        Raises:
            BundleError: the candidate is incomplete.
        """
        candidate_sha256 = hash_file(find_shipped_model(Path(execution_info.input_dict["model"][0].uri) / "bundle"))
        home = Path(execution_info.exec_properties["destination"]) / execution_info.exec_properties["model_name"]
        with self._mlmd_connection as connection:
            pushes = connection.store.get_artifacts_by_type("PushedModel")
        lost = sorted(push.id for push in pushes if _is_lost(push, candidate_sha256, home))
        output = driver_output_pb2.DriverOutput()
        data_types_utils.set_metadata_value(output.exec_properties["lost_bundles"], ",".join(map(str, lost)))
        return output


def _is_lost(push: metadata_store_pb2.Artifact, candidate_sha256: str, home: Path) -> bool:
    facts = push.custom_properties
    path = Path(facts["path"].string_value)
    if facts["pushed"].int_value != 1 or facts["sha256"].string_value != candidate_sha256 or path.parent != home:
        return False
    try:
        return read_manifest(path).shipped_file.sha256 != candidate_sha256
    except BundleError:
        return True
