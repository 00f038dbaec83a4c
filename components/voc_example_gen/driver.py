"""The driver of VocExampleGen: it looks at the data before TFX looks into its cache."""

from __future__ import annotations

from pathlib import Path

from tfx.dsl.components.base.base_driver import BaseDriver as ComponentDriver
from tfx.orchestration import metadata
from tfx.orchestration.portable.base_driver import BaseDriver as LaunchedDriver
from tfx.orchestration.portable.data_types import ExecutionInfo
from tfx.proto.orchestration import driver_output_pb2

from reefline.data.fingerprint import fingerprint_files
from reefline.data.layouts import list_data_files
from reefline.errors import ConfigError
from reefline.settings import IngestionSettings

FINGERPRINT_PROPERTY = "input_fingerprint"


class Driver(ComponentDriver, LaunchedDriver):
    """Adds the fingerprint of the data's content to the exec properties, which TFX hashes into the cache key.

    TFX asks for the first base when a component is declared, and for the second when it is run, as its own ExampleGen
    drivers do.
    """

    def __init__(self, metadata_handle: metadata.Metadata) -> None:
        ComponentDriver.__init__(self, metadata_handle)
        LaunchedDriver.__init__(self, metadata_handle)

    def run(self, execution_info: ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """Return the exec properties with the fingerprint.

        Raises:
            DataError: the data folder is missing or holds no images or annotations.
            ConfigError: the given label map cannot be read.
        """
        properties = execution_info.exec_properties
        settings = IngestionSettings.from_json(properties["settings"])
        result = driver_output_pb2.DriverOutput()
        for name, value in properties.items():
            result.exec_properties[name].string_value = value
        result.exec_properties[FINGERPRINT_PROPERTY].string_value = fingerprint_data(
            Path(properties["data_dir"]), settings, Path(properties["hash_memory"])
        )
        return result


def fingerprint_data(data_dir: Path, settings: IngestionSettings, hash_memory: Path) -> str:
    """Return one hash of all that is ingested: images, annotations, split lists and the given label map."""
    files = list_data_files(data_dir, image_dir=settings.image_dir, annotation_dir=settings.annotation_dir)
    extra = []
    if settings.label_map is not None:
        try:
            extra.append(Path(settings.label_map).read_bytes())
        except OSError as error:
            raise ConfigError(f"{settings.label_map}: the label map cannot be read: {error.strerror}") from error
    return fingerprint_files(data_dir, files.all, hash_memory, extra=extra)
