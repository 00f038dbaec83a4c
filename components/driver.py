"""The base of the drivers: what a driver resolves before TFX looks in its cache."""

from __future__ import annotations

import abc
from collections.abc import Mapping

from tfx.dsl.components.base import base_driver as component_driver
from tfx.orchestration import data_types_utils, metadata
from tfx.orchestration.portable import base_driver, data_types
from tfx.proto.orchestration import driver_output_pb2


class ResolvingDriver(component_driver.BaseDriver, base_driver.BaseDriver):
    """Adds exec properties, which TFX hashes into the cache key; a subclass says which.

    TFX checks for the first base when a component is declared, and for the second when it runs.
    """

    def __init__(self, metadata_handle: metadata.Metadata) -> None:
        """Keep the connection to ML Metadata, which TFX hands to every driver."""
        component_driver.BaseDriver.__init__(self, metadata_handle)
        base_driver.BaseDriver.__init__(self, metadata_handle)

    @abc.abstractmethod
    def resolve(self, execution_info: data_types.ExecutionInfo) -> Mapping[str, int | str]:
        """Return the exec properties to add, by name."""

    def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """Return the resolved exec properties; TFX keeps all others as they are."""
        output = driver_output_pb2.DriverOutput()
        for name, value in self.resolve(execution_info).items():
            data_types_utils.set_metadata_value(output.exec_properties[name], value)
        return output
