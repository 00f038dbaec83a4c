"""A model's bundles in a folder of this machine.

A bundle is written next to its place under a hidden name, flushed to the disk and renamed; after that, CURRENT is
replaced in one step. A crash anywhere leaves the old version serving, and at worst a hidden folder, which the next push
removes, or a complete bundle that never served. A lock keeps other pushes out.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Optional

from reefline.bundle.checking import verify_bundle, verify_for_use
from reefline.bundle.home import (
    CURRENT_FILE,
    WITHDRAWN_FOLDER,
    Current,
    make_rollback_command,
    parse_version,
    parse_version_names,
)
from reefline.bundle.manifest import MANIFEST_FILE, Manifest, read_manifest, read_manifest_bytes
from reefline.bundle.signature import SIGNATURE_FILE, Signer
from reefline.errors import BundleError, WorkspaceError
from reefline.system.files import NO_SPACE_ERRNOS, flush_to_disk, write_whole
from reefline.system.leftovers import remove_folder
from reefline.system.lock_file import open_lock_file

_LOCK_FILE = ".lock"
_MAX_CURRENT_CHARACTERS = 100
_LEFTOVERS = (".push-*", ".*.part")
_DISK_ERRNOS = NO_SPACE_ERRNOS | {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}


class LocalHome:
    """The bundles of one model in a local folder."""

    def __init__(self, place: Path) -> None:
        """Name the folder, which need not exist."""
        self.place = place

    def exists(self) -> bool:
        """See BundleHome."""
        return self.place.is_dir()

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """See BundleHome; the lock ends with its process, however that ends."""
        with self._explain_disk_errors():
            self.place.mkdir(parents=True, exist_ok=True)
            with open_lock_file(self.place / _LOCK_FILE) as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                self._remove_leftovers()
                yield

    def locate(self, version: int) -> Path:
        """See BundleHome."""
        return self.place / str(version)

    def list_versions(self) -> Sequence[int]:
        """See BundleHome."""
        return parse_version_names([path.name for path in self.place.iterdir()])

    def has_bundle(self, version: int) -> bool:
        """See BundleHome."""
        return self.locate(version).is_dir()

    def read_current(self) -> Optional[Current]:
        """See BundleHome.

        Raises:
            WorkspaceError: the folder cannot be read.
        """
        path = self.place / CURRENT_FILE
        with self._explain_disk_errors():
            if not path.exists() and not path.is_symlink():
                return None
            if not path.is_file():
                raise BundleError(
                    f"{path}: not a file; delete it, then choose a version with "
                    f"`{make_rollback_command(self.place, 'VERSION')}`"
                )
            with path.open(encoding="utf-8", errors="replace") as file:
                text = file.read(_MAX_CURRENT_CHARACTERS)
        return Current(parse_version(text, path))

    def read_manifest(self, version: int) -> Manifest:
        """See BundleHome."""
        return read_manifest(self.locate(version))

    def is_signed(self, version: int, sign: Signer) -> bool:
        """See BundleHome."""
        bundle = self.locate(version)
        signature = bundle / SIGNATURE_FILE
        return signature.is_file() and signature.read_bytes() == sign(read_manifest_bytes(bundle))

    def verify(self, version: int) -> Manifest:
        """See BundleHome."""
        return verify_bundle(self.locate(version))

    def verify_for_use(self, version: int, public_key: Optional[Path]) -> Manifest:
        """See BundleHome."""
        return verify_for_use(self.locate(version), public_key)

    def fetch(self, version: int, folder: Path) -> Manifest:
        """See BundleHome."""
        manifest = self.verify(version)
        shutil.copytree(self.locate(version), folder, dirs_exist_ok=True)
        return manifest

    def measure(self, version: int) -> int:
        """See BundleHome."""
        return sum(path.stat().st_size for path in self.locate(version).rglob("*") if path.is_file())

    def remove(self, version: int) -> None:
        """See BundleHome; after a crash, the next push removes the rest."""
        remove_folder(self.locate(version))

    def claim_version(self, current: Optional[Current]) -> int:
        """See BundleHome; withdrawn versions keep their folders, and the lock keeps others from taking the same."""
        return max([*self.list_versions(), current.version if current else 0]) + 1

    def write_bundle(self, candidate: Path, manifest: Manifest, sign: Optional[Signer]) -> None:
        """See BundleHome."""
        partial = Path(tempfile.mkdtemp(prefix=".push-", dir=self.place))
        try:
            # mkdtemp admits its owner only, but a bundle is there to be read.
            partial.chmod(0o755)
            for file in manifest.files:
                shutil.copyfile(candidate / file.name, partial / file.name)
                flush_to_disk(partial / file.name)
            manifest.write(partial / MANIFEST_FILE)
            if sign is not None:
                write_whole(partial / SIGNATURE_FILE, sign((partial / MANIFEST_FILE).read_bytes()))
            verify_bundle(partial)
            partial.rename(self.locate(manifest.version))
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        flush_to_disk(self.place)

    def write_current(self, version: int, replaced: Optional[Current]) -> None:
        """See BundleHome; the lock has kept `replaced` serving."""
        write_whole(self.place / CURRENT_FILE, f"{version}\n")

    def list_withdrawn(self) -> Sequence[int]:
        """See BundleHome."""
        folder = self.place / WITHDRAWN_FOLDER
        return parse_version_names([path.name for path in folder.iterdir()]) if folder.is_dir() else []

    def mark_withdrawn(self, version: int) -> None:
        """See BundleHome."""
        folder = self.place / WITHDRAWN_FOLDER
        folder.mkdir(exist_ok=True)
        write_whole(folder / str(version), "")
        flush_to_disk(self.place)

    def unmark_withdrawn(self, version: int) -> None:
        """See BundleHome."""
        (self.place / WITHDRAWN_FOLDER / str(version)).unlink(missing_ok=True)

    def _remove_leftovers(self) -> None:
        """Remove what a killed push left behind; the lock guarantees that no other push is running."""
        for path in [path for pattern in _LEFTOVERS for path in self.place.glob(pattern)]:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    @contextlib.contextmanager
    def _explain_disk_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in _DISK_ERRNOS:
                raise
            raise WorkspaceError(
                f"{self.place}: cannot be used ({error.strerror}). The current version keeps serving. "
                "Free space or fix permissions, then retry."
            ) from error
