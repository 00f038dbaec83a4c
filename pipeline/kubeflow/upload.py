"""Keeps a package in KFP, as a version of its pipeline."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from reefline.errors import UsageError

if TYPE_CHECKING:
    from kfp import Client


@dataclass(frozen=True)
class PipelineVersion:
    """A package that KFP keeps, by its ids."""

    pipeline_id: str
    version_id: str

    def make_address(self, host: str) -> str:
        """Return where KFP's UI shows it."""
        return f"{host.rstrip('/')}/#/pipelines/details/{self.pipeline_id}/version/{self.version_id}"


def upload_version(
    client: Client, package: Path, pipeline: str, version: str, namespace: Optional[str]
) -> PipelineVersion:
    """Upload a package as a new version of a pipeline, which is created if KFP has none of that name.

    Raises:
        UsageError: the pipeline has a version of that name.
    """
    pipeline_id = _find_pipeline(client, pipeline, namespace)
    if pipeline_id is None:
        pipeline_id = _create_pipeline(client, pipeline, namespace)
    elif client.list_pipeline_versions(pipeline_id, filter=_make_filter(version)).pipeline_versions:
        raise UsageError(
            f"--version {version}: the pipeline {pipeline} has a version of this name, and versions do not change; "
            "pass another name"
        )
    uploaded = client.upload_pipeline_version(str(package), version, pipeline_id=pipeline_id)
    return PipelineVersion(pipeline_id, str(uploaded.pipeline_version_id))


def _find_pipeline(client: Client, name: str, namespace: Optional[str]) -> Optional[str]:
    found = client.list_pipelines(namespace=namespace, filter=_make_filter(name)).pipelines
    return str(found[0].pipeline_id) if found else None


def _create_pipeline(client: Client, name: str, namespace: Optional[str]) -> str:
    import kfp_server_api

    # The client's own upload_pipeline creates a version, too, which has the pipeline's name.
    api = kfp_server_api.PipelineServiceApi(client._pipelines_api.api_client)
    pipeline = kfp_server_api.V2beta1Pipeline(display_name=name, namespace=namespace)
    return str(api.create_pipeline(pipeline).pipeline_id)


def _make_filter(name: str) -> str:
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]})
