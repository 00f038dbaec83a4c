"""A model's bundles in an object store, which has neither locks nor renames, but conditional writes.

A push claims its version by creating `.claims/<version>`, uploads the files, then the manifest, and replaces CURRENT
on the condition that it is still what was read at the start. A version without a manifest does not exist for readers.
A crash anywhere leaves the old version serving, and at worst an unfinished version or a complete one that never
served; their numbers are not used again. Of two pushes at once, one replaces CURRENT and the other fails.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Optional

from reefline.bundle.checking import refuse_unlisted, verify_bundle
from reefline.bundle.home import CURRENT_FILE, WITHDRAWN_FOLDER, Current, parse_version, parse_version_names
from reefline.bundle.manifest import MANIFEST_FILE, Manifest
from reefline.bundle.remote_bundle import fetch_remote_bundle, read_remote_manifest
from reefline.bundle.signature import SIGNATURE_FILE, Signer
from reefline.errors import BundleError, StorageError, WorkspaceError
from reefline.storage.location import Location
from reefline.storage.opening import open_storage

_CLAIMS = ".claims"


class RemoteHome:
    """The bundles of one model in an object store."""

    def __init__(self, place: Location) -> None:
        """Connect; nothing is read yet.

        Raises:
            StorageError: the environment lacks what the store needs.
        """
        self.place = place
        self._storage = open_storage(place)

    def exists(self) -> bool:
        """See BundleHome; object stores have no folders that could be missing."""
        return True

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """See BundleHome; conditional writes replace the lock.

        Raises:
            StorageError: the store ignores their conditions.
        """
        with _explain_failures():
            honours_conditions = self._probe_conditions()
        if not honours_conditions:
            raise StorageError(
                f"{self.place}: the store ignores conditional writes, so two pushes could mix; "
                "use SeaweedFS >= 3.97, a current MinIO, S3 or GCS"
            )
        with _explain_failures():
            yield

    def locate(self, version: int) -> Location:
        """See BundleHome."""
        return self.place / str(version)

    def list_versions(self) -> Sequence[int]:
        """See BundleHome."""
        return parse_version_names(self._storage.list_children())

    def has_bundle(self, version: int) -> bool:
        """See BundleHome."""
        return self._storage.read(f"{version}/{MANIFEST_FILE}") is not None

    def read_current(self) -> Optional[Current]:
        """See BundleHome."""
        found = self._storage.read(CURRENT_FILE)
        if found is None:
            return None
        version = parse_version(found.data.decode("utf-8", errors="replace"), self.place / CURRENT_FILE)
        return Current(version, found.revision)

    def read_manifest(self, version: int) -> Manifest:
        """See BundleHome."""
        return read_remote_manifest(open_storage(self.locate(version)))

    def is_signed(self, version: int, sign: Signer) -> bool:
        """See BundleHome."""
        manifest = self._storage.read(f"{version}/{MANIFEST_FILE}")
        signature = self._storage.read(f"{version}/{SIGNATURE_FILE}")
        return manifest is not None and signature is not None and signature.data == sign(manifest.data)

    def verify(self, version: int) -> Manifest:
        """See BundleHome; the files are downloaded for this."""
        with tempfile.TemporaryDirectory() as folder:
            return self.fetch(version, Path(folder))

    def verify_for_use(self, version: int, public_key: Optional[Path]) -> Manifest:
        """See BundleHome; the files are downloaded for this."""
        with tempfile.TemporaryDirectory() as folder:
            manifest = fetch_remote_bundle(open_storage(self.locate(version)), Path(folder), public_key)
        names = [stored.name.partition("/")[2] for stored in self._storage.list_objects(str(version))]
        refuse_unlisted(manifest, names, self.locate(version))
        return manifest

    def fetch(self, version: int, folder: Path) -> Manifest:
        """See BundleHome."""
        return fetch_remote_bundle(open_storage(self.locate(version)), folder)

    def measure(self, version: int) -> int:
        """See BundleHome."""
        return sum(stored.bytes for stored in self._storage.list_objects(str(version)))

    def remove(self, version: int) -> None:
        """See BundleHome; the manifest goes first: without it there is no bundle.

        After a crash, the other files stay: a folder without a manifest may as well belong to a push.
        """
        self._storage.delete(f"{version}/{MANIFEST_FILE}")
        for stored in self._storage.list_objects(str(version)):
            self._storage.delete(stored.name)

    def claim_version(self, current: Optional[Current]) -> int:
        """See BundleHome; the claims of killed pushes stay, and so do withdrawn versions."""
        claims = parse_version_names(self._storage.list_children(_CLAIMS))
        version = max([*self.list_versions(), *claims, current.version if current else 0]) + 1
        token = uuid.uuid4().hex.encode()
        while not self._storage.create_if_absent(f"{_CLAIMS}/{version}", token):
            version += 1
        return version

    def write_bundle(self, candidate: Path, manifest: Manifest, sign: Optional[Signer]) -> None:
        """See BundleHome.

        The files are copied and hashed before the upload: what serves is what was judged, even where somebody changes
        the candidate meanwhile. The store checks each upload against a checksum.
        """
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder)
            for file in manifest.files:
                shutil.copyfile(candidate / file.name, copy / file.name)
            manifest.write(copy / MANIFEST_FILE)
            verify_bundle(copy, shown_as=candidate)
            for file in manifest.files:
                self._storage.upload(copy / file.name, f"{manifest.version}/{file.name}")
            self._check_sizes(manifest)
            content = (copy / MANIFEST_FILE).read_bytes()
            if sign is not None:
                self._storage.write(f"{manifest.version}/{SIGNATURE_FILE}", sign(content))
        if not self._storage.create_if_absent(f"{manifest.version}/{MANIFEST_FILE}", content):
            raise BundleError(f"{self.locate(manifest.version)}: somebody else wrote this version; run again")

    def write_current(self, version: int, replaced: Optional[Current]) -> None:
        """See BundleHome."""
        content = f"{version}\n".encode()
        if replaced is None or replaced.revision is None:
            written = self._storage.create_if_absent(CURRENT_FILE, content)
        else:
            written = self._storage.replace_if_match(CURRENT_FILE, content, replaced.revision)
        if not written:
            now = self.read_current()
            serving = f"version {now.version} serves now" if now else "no version serves now"
            before = f"version {replaced.version}" if replaced else "none"
            raise BundleError(
                f"{self.place}: {serving}, {before} did at the start: another push or rollback was faster; "
                "run again to compare with the serving version"
            )

    def list_withdrawn(self) -> Sequence[int]:
        """See BundleHome."""
        return parse_version_names(self._storage.list_children(WITHDRAWN_FOLDER))

    def mark_withdrawn(self, version: int) -> None:
        """See BundleHome."""
        self._storage.write(f"{WITHDRAWN_FOLDER}/{version}", b"")

    def unmark_withdrawn(self, version: int) -> None:
        """See BundleHome."""
        self._storage.delete(f"{WITHDRAWN_FOLDER}/{version}")

    def _probe_conditions(self) -> bool:
        """Return whether the store honours both conditions; old stores ignore them without an error."""
        name = f"{_CLAIMS}/probe-{uuid.uuid4().hex}"
        created = self._storage.create_if_absent(name, b"first")
        try:
            found = self._storage.read(name)
            if not created or found is None or self._storage.create_if_absent(name, b"second"):
                return False
            self._storage.write(name, b"third")
            return not self._storage.replace_if_match(name, b"fourth", found.revision)
        finally:
            self._storage.delete(name)

    def _check_sizes(self, manifest: Manifest) -> None:
        found = {stored.name: stored.bytes for stored in self._storage.list_objects(str(manifest.version))}
        for file in manifest.files:
            size = found.get(f"{manifest.version}/{file.name}")
            if size != file.bytes:
                raise StorageError(
                    f"{self.locate(manifest.version) / file.name}: {size} bytes found after the upload, "
                    f"{file.bytes} expected; run again"
                )


@contextlib.contextmanager
def _explain_failures() -> Iterator[None]:
    try:
        yield
    except StorageError as error:
        raise WorkspaceError(
            *(f"{problem}. The current version keeps serving." for problem in error.problems)
        ) from error
