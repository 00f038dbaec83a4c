"""The driver of VocExampleGen: the content of the data is part of the cache key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tfx.orchestration.portable.data_types import ExecutionInfo

from components.driver import ResolvingDriver
from reefline.data.fingerprint import fingerprint_files
from reefline.data.layouts import list_data_files
from reefline.errors import ConfigError
from reefline.settings import IngestionSettings

FINGERPRINT_PROPERTY = "input_fingerprint"


class VocExampleGenDriver(ResolvingDriver):
    """Resolves the fingerprint of all that is ingested."""

    def resolve(self, execution_info: ExecutionInfo) -> Mapping[str, int | str]:
        """Return `input_fingerprint`.

        Raises:
            DataError: the data folder is missing or holds no images or annotations.
            ConfigError: the given label map cannot be read.
        """
        properties = execution_info.exec_properties
        settings = IngestionSettings.from_json(properties["settings"])
        fingerprint = fingerprint_data(Path(properties["data_dir"]), settings, Path(properties["hash_memory"]))
        return {FINGERPRINT_PROPERTY: fingerprint}


def fingerprint_data(data_dir: Path, settings: IngestionSettings, hash_memory: Path) -> str:
    """Return one hash of all that is ingested: images, annotations, split lists and the given label map."""
    files = list_data_files(data_dir, image_dir=settings.image_dir, annotation_dir=settings.annotation_dir)
    extra = []
    if settings.label_map is not None:
        try:
            extra.append(Path(settings.label_map).read_bytes())
        except OSError as error:
            raise ConfigError(f"{settings.label_map}: cannot read the label map ({error.strerror})") from error
    return fingerprint_files(data_dir, files.all, hash_memory, extra=extra)
