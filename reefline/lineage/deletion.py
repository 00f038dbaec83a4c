"""Records in ML Metadata that artifacts were deleted; the only change that Reefline itself makes there."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from reefline.lineage.store import explain_damage


def mark_deleted(metadata_db: Path, artifact_ids: Collection[int]) -> None:
    """Set the state of artifacts to DELETED; only for artifacts whose folder is gone.

    TFX looks for the folder, not at the state, when it searches its cache: it would reuse a deleted artifact whose
    folder exists, and then refuse it as an input. Artifacts in use must not be touched in any way: TFX's cache keys
    contain all that ML Metadata has on the inputs.

    Raises:
        RecordError: the file is damaged, or cannot be written.
    """
    if not (artifact_ids and metadata_db.is_file()):
        return
    from ml_metadata.metadata_store import metadata_store
    from ml_metadata.proto import metadata_store_pb2

    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(metadata_db)
    config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE
    with explain_damage(metadata_db):
        store = metadata_store.MetadataStore(config)
        deleted = metadata_store_pb2.Artifact.DELETED
        changed = [one for one in store.get_artifacts_by_id(list(artifact_ids)) if one.state != deleted]
        for artifact in changed:
            artifact.state = deleted
        if changed:
            store.put_artifacts(changed)
