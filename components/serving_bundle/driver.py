"""The driver of ServingBundle: what serves is part of the cache key."""

from __future__ import annotations

from pathlib import Path

from tfx.dsl.components.base import base_driver as component_driver
from tfx.orchestration import data_types_utils, metadata
from tfx.orchestration.portable import base_driver, data_types
from tfx.proto.orchestration import driver_output_pb2

from reefline.bundle.store import resolve_baseline


class ServingBundleDriver(component_driver.BaseDriver, base_driver.BaseDriver):
    """Puts version and content of the bundle to compare with into the exec properties.

    TFX hashes exec properties into the cache key, so that a changed CURRENT is seen and an unchanged one costs nothing.
    It wants both of the bases: one to accept the class on a component, the other to run it.
    """

    def __init__(self, metadata_handle: metadata.Metadata) -> None:
        """Keep the connection, which TFX hands to every driver."""
        component_driver.BaseDriver.__init__(self, metadata_handle)
        base_driver.BaseDriver.__init__(self, metadata_handle)

    def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """Return the exec properties `serving_version` (0: none) and `serving_sha256`.

        Raises:
            BundleError: what serves is damaged.
        """
        baseline = resolve_baseline(
            destination=Path(execution_info.exec_properties["destination"]),
            model_name=execution_info.exec_properties["model_name"],
            candidate=Path(execution_info.input_dict["model"][0].uri) / "bundle",
        )
        output = driver_output_pb2.DriverOutput()
        data_types_utils.set_metadata_value(output.exec_properties["serving_version"], baseline.version)
        data_types_utils.set_metadata_value(output.exec_properties["serving_sha256"], baseline.sha256)
        return output
