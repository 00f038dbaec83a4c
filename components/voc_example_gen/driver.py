"""The driver of VocExampleGen: the content of the data is part of the cache key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tfx.orchestration.portable.data_types import ExecutionInfo

from components.driver import ResolvingDriver
from reefline.data.fingerprint import fingerprint_data
from reefline.settings import IngestionSettings

FINGERPRINT_PROPERTY = "input_fingerprint"


class VocExampleGenDriver(ResolvingDriver):
    """Resolves the fingerprint of all that is ingested."""

    def resolve(self, execution_info: ExecutionInfo) -> Mapping[str, int | str]:
        """Return `input_fingerprint`.

        Raises:
            DataError: the data folder is missing or holds no images or annotations.
            ConfigError: the given label map cannot be read.
            StorageError: the URI is not supported, or its store cannot be read.
        """
        properties = execution_info.exec_properties
        settings = IngestionSettings.from_json(properties["settings"])
        memory = properties["hash_memory"]
        fingerprint = fingerprint_data(properties["data_dir"], settings, Path(memory) if memory else None)
        return {FINGERPRINT_PROPERTY: fingerprint}
