"""The driver of ServingBundle: what serves is part of the cache key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tfx.orchestration.portable.data_types import ExecutionInfo

from components.driver import ResolvingDriver
from reefline.bundle.store import resolve_baseline
from reefline.structures.artifacts import ModelFolder


class ServingBundleDriver(ResolvingDriver):
    """Resolves version and content of the baseline, so that a changed CURRENT is noticed."""

    def resolve(self, execution_info: ExecutionInfo) -> Mapping[str, int | str]:
        """Return `serving_version` (0: none) and `serving_sha256`.

        Raises:
            BundleError: the serving bundle is damaged.
            StorageError: the destination cannot be read.
        """
        baseline = resolve_baseline(
            destination=execution_info.exec_properties["destination"],
            model_name=execution_info.exec_properties["model_name"],
            candidate=ModelFolder(Path(execution_info.input_dict["model"][0].uri)).bundle,
        )
        return {"serving_version": baseline.version, "serving_sha256": baseline.sha256}
