"""Where bundles serve: pushing one, rolling back, and which one serves now.

<destination>/<model>/<version>/   one bundle; the version is an integer that grows
<destination>/<model>/CURRENT      the version that serves, a text file
<destination>/<model>/.withdrawn/  the versions that a rollback withdrew: their models are not pushed again

A destination is a folder of this machine (local_home.py) or the URI of an object store (remote_home.py). In both, a
bundle appears completely or not at all, CURRENT is replaced in one step, and a crash anywhere leaves the old version
serving.

A push reads the candidate's files once to hash them and once to copy them, and hashes the copy once: what serves is
what was judged, even where somebody changed the candidate meanwhile. The serving bundle is hashed only where its
manifest lists the candidate's files: then nothing is pushed, so they have to be intact.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Optional, Union

from reefline.bundle.home import (
    BundleHome,
    Current,
    Place,
    advise_another,
    explain_unchanged,
    make_rollback_command,
    to_place,
)
from reefline.bundle.layout import find_shipped_model
from reefline.bundle.manifest import BundleFacts, FileRecord, Manifest, find_shipped_file, record_files
from reefline.bundle.signature import Signer
from reefline.bundle.withdrawal import find_withdrawn, withdraw
from reefline.errors import BundleError, ConfigError
from reefline.storage.location import Location
from reefline.storage.opening import open_storage
from reefline.system.files import hash_file

# A model's name is a folder: no separators, and neither hidden nor an option of a command.
MODEL_NAME_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"
# A path or a URI.
Destination = Union[str, os.PathLike[str], Location]


@dataclass(frozen=True)
class PushRecord:
    """The bundle that holds the candidate, the sha256 of its TFLite file, and what the push did.

    `serves` is False for a bundle that a rollback withdrew.
    """

    version: int
    path: Place
    sha256: str
    reason: str
    serves: bool = True


@dataclass(frozen=True)
class RollbackRecord:
    """What a rollback did; `withdrawn_version` is None where none served."""

    model: str
    withdrawn_version: Optional[int]
    serving_version: int


@dataclass(frozen=True)
class Baseline:
    """The bundle to compare with: its version and its TFLite file's sha256; version 0 means none."""

    version: int
    sha256: str


NO_BASELINE = Baseline(0, "")


def locate_model(destination: Destination, model_name: str) -> Place:
    """Return the folder of a model's bundles: a path for local ones, a location for others.

    Raises:
        ConfigError: the name is not a plain folder name.
        StorageError: the destination is a URI that is not supported.
    """
    if not re.fullmatch(MODEL_NAME_PATTERN, model_name):
        raise ConfigError(
            f"model name {model_name!r}: expected letters, digits, '_', '-' and '.', not starting with '-' or '.'; "
            "rename it"
        )
    return to_place(Location.parse(destination) / model_name)


def locate_bundle(destination: Destination, model_name: str, version: int) -> Place:
    """Return the folder of one version's bundle, whether it exists or not."""
    return locate_model(destination, model_name) / str(version)


def list_models(destination: Destination) -> Sequence[str]:
    """Return the names of the models with bundles at a destination, sorted.

    Raises:
        StorageError: the destination cannot be read.
    """
    location = Location.parse(destination)
    if not location.is_remote:
        folder = location.local_path
        names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    else:
        names = list(open_storage(location).list_children())
    return [name for name in names if re.fullmatch(MODEL_NAME_PATTERN, name)]


def read_current(destination: Destination, model_name: str) -> Optional[int]:
    """Return the version that serves; None where none does.

    Raises:
        BundleError: CURRENT holds something other than a version.
        WorkspaceError, StorageError: the destination cannot be read.
    """
    current = open_home(destination, model_name).read_current()
    return current.version if current else None


def read_bundle_manifest(destination: Destination, model_name: str, version: int) -> Manifest:
    """Return the manifest of one version's bundle.

    Raises:
        BundleError: it is missing or damaged.
        StorageError: the destination cannot be read.
    """
    return open_home(destination, model_name).read_manifest(version)


def fetch_bundle(destination: Destination, model_name: str, version: int, folder: Path) -> Manifest:
    """Copy one version's bundle into a local folder, and verify it.

    Raises:
        BundleError: it is missing or damaged; if it is the serving one, the message has the command that makes another
            one serve.
        StorageError: the destination cannot be read.
    """
    home = open_home(destination, model_name)
    try:
        return home.fetch(version, folder)
    except BundleError as error:
        current = home.read_current()
        if current is None or current.version != version:
            raise
        raise BundleError(*error.problems, advise_another(home, version)) from error


def resolve_baseline(destination: Destination, model_name: str, candidate: Path) -> Baseline:
    """Return the bundle that a candidate has to be compared with.

    That is the serving one; where it holds the candidate itself, the one it replaced, so that a second run with nothing
    changed compares the same two models as the first.

    Raises:
        BundleError: the candidate is incomplete, or the serving bundle is missing or damaged; the message has the
            command that makes another one serve. Without its baseline, the gate could not judge a regression.
        WorkspaceError, StorageError: the destination cannot be read.
    """
    home = open_home(destination, model_name)
    current = home.read_current()
    if current is None:
        return NO_BASELINE
    try:
        serving = home.read_manifest(current.version)
    except BundleError as error:
        raise BundleError(*error.problems, advise_another(home, current.version)) from error
    if serving.shipped_file.sha256 != hash_file(find_shipped_model(candidate)):
        return Baseline(current.version, serving.shipped_file.sha256)
    if serving.replaces is None or not home.has_bundle(serving.replaces):
        return NO_BASELINE
    replaced = home.read_manifest(serving.replaces)
    return Baseline(replaced.version, replaced.shipped_file.sha256)


def push_bundle(
    candidate: Path, facts: BundleFacts, destination: Destination, sign: Optional[Signer] = None
) -> PushRecord:
    """Make the candidate's files the bundle that serves; where they already are, nothing changes.

    If a withdrawn version holds them, nothing changes either: otherwise the next run would undo the rollback.

    `candidate` is the folder with the TFLite files and labels.txt; its other files are not shipped. `sign` signs the
    manifest.

    Raises:
        BundleError: the candidate is incomplete, CURRENT is damaged, or another version serves than the gate compared
            the candidate with.
        WorkspaceError: the destination cannot be written, or the disk is full; the current version keeps serving.
        StorageError: the destination is a URI that is not supported.
    """
    files = record_files(candidate)
    home = open_home(destination, facts.model)
    with home.changing():
        current = home.read_current()
        if current is not None and _holds(home, current.version, files):
            return _record(home, current.version, files, explain_unchanged(home, current.version, sign))
        withdrawn = find_withdrawn(home, files)
        if withdrawn is not None:
            reason = (
                f"version {withdrawn} holds this model and was withdrawn by a rollback; nothing pushed. "
                f"To serve it again: {make_rollback_command(home.place, withdrawn)}"
            )
            return replace(_record(home, withdrawn, files, reason), serves=False)
        _check_baseline(home, current, facts, files)
        manifest = Manifest(
            facts=facts,
            version=home.claim_version(current),
            created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            replaces=current.version if current else None,
            files=files,
        )
        home.write_bundle(candidate, manifest, sign)
        home.write_current(manifest.version, current)
    reason = "nothing served before" if current is None else f"replaces version {current.version}"
    return _record(home, manifest.version, files, reason)


def rollback(
    destination: Destination, model_name: str, to: Optional[int] = None, public_key: Optional[Path] = None
) -> RollbackRecord:
    """Serve the version that the current one replaced, or version `to`; the withdrawn bundle stays where it is.

    `to` needs no current version, so it works if CURRENT is missing or names a bundle that is missing or damaged. The
    owner of `public_key`, if there is one, must have signed the bundle.

    Raises:
        BundleError: there is nothing to serve instead, it is missing, damaged or not signed, it has files that its
            manifest does not list, or another version began to serve meanwhile.
        UsageError: the file `public_key` holds no key.
        WorkspaceError: the destination cannot be written.
    """
    home = open_home(destination, model_name)
    nothing_serves = BundleError(f"{home.place}: nothing to roll back, as no version serves; push a bundle first")
    if not home.exists():
        raise nothing_serves
    with home.changing():
        current = home.read_current()
        if to is not None:
            target = to
        elif current is not None:
            target = _find_replaced(home, current)
        else:
            raise nothing_serves
        home.verify_for_use(target, public_key)
        withdraw(home, current, target)
    return RollbackRecord(model_name, current.version if current else None, target)


def _find_replaced(home: BundleHome, current: Current) -> int:
    """Return the version that the current one replaced."""
    replaced = home.read_manifest(current.version).replaces
    if replaced is None:
        raise BundleError(
            f"{home.locate(current.version)}: nothing to roll back to, as version {current.version} replaced no other"
        )
    return replaced


def open_home(destination: Destination, model_name: str) -> BundleHome:
    """Return the place of a model's bundles, of the kind that the destination asks for.

    Raises:
        ConfigError: the name is not a plain folder name.
        StorageError: the destination is a URI that is not supported, or its environment is incomplete.
    """
    place = locate_model(destination, model_name)
    if isinstance(place, Location):
        from reefline.bundle.remote_home import RemoteHome

        return RemoteHome(place)
    from reefline.bundle.local_home import LocalHome

    return LocalHome(place)


def _record(home: BundleHome, version: int, files: tuple[FileRecord, ...], reason: str) -> PushRecord:
    return PushRecord(version, home.locate(version), find_shipped_file(files).sha256, reason)


def _holds(home: BundleHome, version: int, files: tuple[FileRecord, ...]) -> bool:
    """Return whether a bundle is intact and holds exactly these files."""
    try:
        if set(home.read_manifest(version).files) != set(files):
            return False
        home.verify(version)
    except BundleError:
        return False
    return True


def _check_baseline(
    home: BundleHome, current: Optional[Current], facts: BundleFacts, files: tuple[FileRecord, ...]
) -> None:
    """Refuse to replace a version that the gate did not see, unless it holds the same TFLite model."""
    judged = facts.evaluation.scores.baseline_version
    if current is None or current.version == judged:
        return
    with contextlib.suppress(BundleError):
        if home.read_manifest(current.version).shipped_file in files:
            return
    raise BundleError(
        f"{home.place}: version {current.version} serves, but the candidate was compared with version {judged}; "
        "run again to compare it with the serving version"
    )
