"""The driver of Pusher: a pushed bundle that is missing has to be pushed again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration.portable.data_types import ExecutionInfo

from components.driver import ResolvingDriver
from reefline.bundle.layout import find_shipped_model
from reefline.bundle.store import read_bundle_manifest
from reefline.errors import BundleError
from reefline.storage.location import Location
from reefline.structures.artifacts import ModelFolder
from reefline.system.files import hash_file


class PusherDriver(ResolvingDriver):
    """Resolves which earlier pushes of this model are missing from the serving folder.

    TFX's cache knows that a push was done, but not that somebody deleted the bundle since: then the key has to change.
    ML Metadata lists the earlier pushes. Bundles that `reefline gc` removed are not missing: their pushes are marked.
    """

    def resolve(self, execution_info: ExecutionInfo) -> Mapping[str, int | str]:
        """Return `lost_bundles`: ids of artifacts, separated by commas; "" where none is lost.

        Raises:
            BundleError: the candidate is incomplete.
        """
        candidate = ModelFolder(Path(execution_info.input_dict["model"][0].uri)).bundle
        properties = execution_info.exec_properties
        home = Location.parse(properties["destination"]) / properties["model_name"]
        with self._mlmd_connection as connection:
            artifacts = connection.store.get_artifacts_by_type("PushedModel")
        pushes = [artifact for artifact in artifacts if _is_push_to(artifact, home)]
        # A first push compares with nothing, so its candidate need not be hashed.
        sha256 = hash_file(find_shipped_model(candidate)) if pushes else ""
        lost = sorted(push.id for push in pushes if _is_lost(push, sha256))
        return {"lost_bundles": ",".join(map(str, lost))}


def _is_push_to(artifact: metadata_store_pb2.Artifact, home: Location) -> bool:
    facts = artifact.custom_properties
    if artifact.state == metadata_store_pb2.Artifact.DELETED:
        return False
    return facts["pushed"].int_value == 1 and Location.parse(facts["path"].string_value).parent == home


def _is_lost(push: metadata_store_pb2.Artifact, candidate_sha256: str) -> bool:
    if push.custom_properties["sha256"].string_value != candidate_sha256:
        return False
    bundle = Location.parse(push.custom_properties["path"].string_value)
    home = bundle.parent
    try:
        manifest = read_bundle_manifest(home.parent, home.name, int(bundle.name))
        return manifest.shipped_file.sha256 != candidate_sha256
    except BundleError:
        return True
