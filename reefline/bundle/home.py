"""What a push, a rollback and a comparison need of the place where a model's bundles are, whatever kind of place."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Protocol, Union

from reefline.bundle.manifest import MANIFEST_FILE, Manifest
from reefline.bundle.signature import Signer
from reefline.errors import BundleError
from reefline.storage.interface import Revision
from reefline.storage.location import Location

CURRENT_FILE = "CURRENT"
# One empty file for each version that a rollback withdrew, named by the version.
WITHDRAWN_FOLDER = ".withdrawn"
_MAX_DIGITS = 18
# A folder of this machine, or a URI.
Place = Union[Path, Location]


def to_place(location: Location) -> Place:
    """Return a local location as a path, any other as it is."""
    return location if location.is_remote else location.local_path


def make_rollback_command(place: Place, version: object) -> str:
    """Return what to type so that a version of the model whose bundles are in `place` serves."""
    return f"reefline rollback --serving {shlex.quote(str(place.parent))} --model {place.name} --to {version}"


@dataclass(frozen=True)
class Current:
    """The version that serves, and the revision of CURRENT that names it (None where a lock protects it)."""

    version: int
    revision: Optional[Revision] = None


class BundleHome(Protocol):
    """<destination>/<model>: the bundles of one model, and CURRENT."""

    @property
    def place(self) -> Place:
        """The folder."""

    def exists(self) -> bool:
        """Return whether anything was ever pushed here."""

    def changing(self) -> AbstractContextManager[None]:
        """Enclose a push or rollback.

        Raises:
            WorkspaceError: the place cannot be written.
        """

    def locate(self, version: int) -> Place:
        """Return the folder of one version's bundle, whether it exists or not."""

    def list_versions(self) -> Sequence[int]:
        """Return all versions with a folder, unfinished ones included."""

    def has_bundle(self, version: int) -> bool:
        """Return whether a version's bundle is complete, undamaged or not."""

    def read_current(self) -> Optional[Current]:
        """Return what serves; None where nothing does.

        Raises:
            BundleError: CURRENT holds something other than a version.
        """

    def read_manifest(self, version: int) -> Manifest:
        """Return a bundle's manifest.

        Raises:
            BundleError: it is missing or damaged.
        """

    def is_signed(self, version: int, sign: Signer) -> bool:
        """Return whether a bundle has the signature that `sign` makes; equal content has equal signatures (RFC 8032).

        Raises:
            BundleError: its manifest is missing or damaged.
        """

    def verify(self, version: int) -> Manifest:
        """Return a bundle's manifest after comparing every file with it.

        Raises:
            BundleError: a file is missing or damaged.
        """

    def verify_for_use(self, version: int, public_key: Optional[Path]) -> Manifest:
        """Return a bundle's manifest after `verify`, if nothing else is in its folder and this key signed it.

        Raises:
            BundleError: a file is missing, damaged or not listed, or the signature is missing or wrong.
            UsageError: the file `public_key` holds no key.
        """

    def fetch(self, version: int, folder: Path) -> Manifest:
        """Copy a bundle into a local folder and verify it.

        Raises:
            BundleError: a file is missing or damaged.
        """

    def measure(self, version: int) -> int:
        """Return the bytes of all files in a version's folder."""

    def remove(self, version: int) -> None:
        """Remove a bundle, within `changing`: readers see it complete or not at all, even after a crash."""

    def claim_version(self, current: Optional[Current]) -> int:
        """Return a version above all that are or were; nobody else gets it."""

    def write_bundle(self, candidate: Path, manifest: Manifest, sign: Optional[Signer]) -> None:
        """Copy a candidate's files and the manifest to the manifest's version: completely, or nobody sees it.

        With `sign`, its signature of the manifest too.

        Raises:
            BundleError: the candidate's files are not those of the manifest.
        """

    def write_current(self, version: int, replaced: Optional[Current]) -> None:
        """Make a version serve instead of what was read before.

        Raises:
            BundleError: something else serves by now.
        """

    def list_withdrawn(self) -> Sequence[int]:
        """Return the versions that a rollback withdrew, whether their folders still exist or not."""

    def mark_withdrawn(self, version: int) -> None:
        """Mark a version as withdrawn: its model is not pushed again."""

    def unmark_withdrawn(self, version: int) -> None:
        """Remove the mark of a version, if it has one."""


def advise_another(home: BundleHome, unusable: int) -> str:
    """Return what to do where the serving version is missing or damaged: serve the newest other one."""
    start = f"{home.place / CURRENT_FILE}: names version {unusable}, so nothing can be compared with it;"
    for version in sorted(set(home.list_versions()) - {unusable}, reverse=True):
        with contextlib.suppress(BundleError):
            home.read_manifest(version)
            return f"{start} run `{make_rollback_command(home.place, version)}`"
    return f"{start} delete CURRENT to begin without a serving version"


def explain_unchanged(home: BundleHome, version: int, sign: Optional[Signer]) -> str:
    """Return the reason why a push of what serves already changes nothing, and what to do if that is not signed.

    A push does not sign it later: nothing shows that its manifest is still what was pushed.
    """
    if sign is None or home.is_signed(version, sign):
        return f"version {version} serves and holds this very model"
    return (
        f"version {version} already serves, not signed with this key; nothing pushed. To sign it, check "
        f"{home.locate(version)}/{MANIFEST_FILE}, then sign it by hand: see Signed bundles in docs/security.md"
    )


def parse_version(text: str, path: object) -> int:
    """Return the version that CURRENT holds; `path` is where it is, for messages.

    Raises:
        BundleError: it is not a version.
    """
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS and int(text) > 0):
        raise BundleError(
            f"{path}: {text[:40]!r} found, a version expected; write the version that should serve into it"
        )
    return int(text)


def parse_version_names(names: Sequence[str]) -> Sequence[int]:
    """Return the versions among the names of folders."""
    return [int(name) for name in names if name.isascii() and name.isdigit() and len(name) <= _MAX_DIGITS]
