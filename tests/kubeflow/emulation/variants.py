"""The backends of Kubeflow Pipelines that are emulated, by what differs between them for a package."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Variant:
    """One backend.

    `metadata_file_in_task_root`: output_metadata.json lies next to the outputs, as since 2.16, not in /tmp.
    `has_types`: an input artifact arrives with its schemaTitle; otherwise with {"instanceSchema": ""} (tfx#7768).
    `reads_schemas`: a type may be an instanceSchema; otherwise its complete text is looked up among known titles, as
    by inferArtifactType in backend/src/v2/component/launcher_v2.go.
    `id_field`: the field of an input artifact with its id.
    `downloads_siblings`: an input brings along every object whose key starts with its own.
    `keys_claims`, `keys_environment`: the cache key holds names of mounted claims, and the container's `env`.
    `shared_pod_metadata`: every pod gets the podMetadata of the first executor, as before 2.14.
    """

    name: str
    metadata_file_in_task_root: bool
    has_types: bool
    reads_schemas: bool
    id_field: str
    missing_outputs_fail: bool
    downloads_siblings: bool
    keys_claims: bool
    keys_environment: bool
    shared_pod_metadata: bool


KFP_2_5 = Variant(
    name="2.5",
    metadata_file_in_task_root=False,
    has_types=False,
    reads_schemas=True,
    id_field="name",
    missing_outputs_fail=False,
    downloads_siblings=True,
    keys_claims=False,
    keys_environment=False,
    shared_pod_metadata=True,
)
KFP_2_17 = Variant(
    name="2.17",
    metadata_file_in_task_root=True,
    has_types=False,
    reads_schemas=True,
    id_field="name",
    missing_outputs_fail=False,
    downloads_siblings=False,
    keys_claims=True,
    keys_environment=False,
    shared_pod_metadata=False,
)
# The release without ML Metadata; `env` in the cache key is kubeflow/pipelines#14340.
NO_MLMD = Variant(
    name="no-mlmd",
    metadata_file_in_task_root=True,
    has_types=True,
    reads_schemas=False,
    id_field="artifactId",
    missing_outputs_fail=True,
    downloads_siblings=False,
    keys_claims=True,
    keys_environment=True,
    shared_pod_metadata=False,
)
VARIANTS = (KFP_2_5, KFP_2_17, NO_MLMD)
