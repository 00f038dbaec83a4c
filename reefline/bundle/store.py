"""Where bundles serve: pushing one, rolling back, and which one serves now.

<destination>/<model>/<version>/   one bundle; the version is an integer that grows
<destination>/<model>/CURRENT      the version that serves, a text file

A bundle is written next to its place under a hidden name, flushed to the disk and renamed; after that, CURRENT is
replaced in one step. A crash anywhere leaves the old version serving, and at worst a hidden folder, which the next push
removes, or a complete bundle that never served.

A push reads the candidate's files once to hash them and once to copy them, and hashes the copy once: what serves is
what was judged, even where somebody changed the candidate meanwhile. The serving bundle is hashed only where its
manifest lists the candidate's files: then nothing is pushed, so they have to be intact.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from reefline.bundle.layout import find_shipped_model
from reefline.bundle.manifest import (
    MANIFEST_FILE,
    BundleFacts,
    FileRecord,
    Manifest,
    find_shipped_file,
    read_manifest,
    record_files,
    verify_bundle,
)
from reefline.errors import BundleError, ConfigError, WorkspaceError
from reefline.system.files import NO_SPACE_ERRNOS, flush_to_disk, hash_file, write_whole

CURRENT_FILE = "CURRENT"
# A model's name is a folder: no separators, and neither hidden nor an option of a command.
MODEL_NAME_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"
_LOCK_FILE = ".lock"
_LEFTOVERS = (".push-*", ".*.part")
_DISK_ERRNOS = NO_SPACE_ERRNOS | {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}


@dataclass(frozen=True)
class PushRecord:
    """The bundle that serves after a push, the sha256 of its TFLite file, and what the push did."""

    version: int
    path: Path
    sha256: str
    reason: str


@dataclass(frozen=True)
class RollbackRecord:
    """What a rollback did."""

    model: str
    withdrawn_version: int
    serving_version: int


@dataclass(frozen=True)
class Baseline:
    """The bundle to compare with: its version and its TFLite file's sha256; version 0 means none."""

    version: int
    sha256: str


NO_BASELINE = Baseline(0, "")


def locate_model(destination: Path, model_name: str) -> Path:
    """Return the folder of a model's bundles.

    Raises:
        ConfigError: the name is not a plain folder name.
    """
    if not re.fullmatch(MODEL_NAME_PATTERN, model_name):
        raise ConfigError(
            f"model name {model_name!r}: expected letters, digits, '_', '-' and '.', not starting with '-' or '.'; "
            "rename it"
        )
    return destination / model_name


def locate_bundle(destination: Path, model_name: str, version: int) -> Path:
    """Return the folder of one version's bundle, whether it exists or not."""
    return locate_model(destination, model_name) / str(version)


def read_current(destination: Path, model_name: str) -> Optional[int]:
    """Return the version that serves; None where none does.

    Raises:
        BundleError: CURRENT holds something other than a version.
        WorkspaceError: the destination cannot be read.
    """
    home = locate_model(destination, model_name)
    path = home / CURRENT_FILE
    with _explain_disk_errors(home):
        try:
            text = path.read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            return None
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise BundleError(f"{path}: {text!r} found, a version expected; write the version that should serve into it")
    return int(text)


def resolve_baseline(destination: Path, model_name: str, candidate: Path) -> Baseline:
    """Return the bundle that a candidate has to be compared with.

    That is the serving one; where it holds the candidate itself, the one it replaced, so that a second run with nothing
    changed compares the same two models as the first.

    Raises:
        BundleError: the candidate is incomplete, or the serving bundle is damaged.
    """
    current = read_current(destination, model_name)
    if current is None:
        return NO_BASELINE
    serving = read_manifest(locate_bundle(destination, model_name, current))
    if serving.shipped_file.sha256 != hash_file(find_shipped_model(candidate)):
        return Baseline(current, serving.shipped_file.sha256)
    if serving.replaces is None or not locate_bundle(destination, model_name, serving.replaces).is_dir():
        return NO_BASELINE
    replaced = read_manifest(locate_bundle(destination, model_name, serving.replaces))
    return Baseline(replaced.version, replaced.shipped_file.sha256)


def push_bundle(candidate: Path, facts: BundleFacts, destination: Path) -> PushRecord:
    """Make the candidate's files the bundle that serves; where they already are, nothing changes.

    `candidate` is the folder with the TFLite files and labels.txt; its other files are not shipped.

    Raises:
        BundleError: the candidate is incomplete, CURRENT is damaged, or another version serves than the gate compared
            the candidate with.
        WorkspaceError: the destination cannot be written, or the disk is full; the current version keeps serving.
    """
    files = record_files(candidate)
    home = locate_model(destination, facts.model)
    with _explain_disk_errors(home), _lock(home):
        _remove_leftovers(home)
        current = read_current(destination, facts.model)
        if current is not None and _holds(home / str(current), files):
            return _record(home, current, files, f"version {current} serves and holds this very model")
        _check_baseline(home, current, facts, files)
        manifest = Manifest(
            facts=facts,
            version=_next_version(home, current),
            created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            replaces=current,
            files=files,
        )
        _write_bundle(candidate, manifest, home)
        _write_current(home, manifest.version)
    reason = "nothing served before" if current is None else f"replaces version {current}"
    return _record(home, manifest.version, files, reason)


def rollback(destination: Path, model_name: str) -> RollbackRecord:
    """Serve the version that the current one replaced; the withdrawn bundle stays where it is.

    Raises:
        BundleError: nothing serves, the current version replaced none, or what it replaced is missing or damaged.
        WorkspaceError: the destination cannot be written.
    """
    home = locate_model(destination, model_name)
    nothing_serves = BundleError(f"{home}: nothing to roll back, as no version serves; push a bundle first")
    if not home.is_dir():
        raise nothing_serves
    with _explain_disk_errors(home), _lock(home):
        current = read_current(destination, model_name)
        if current is None:
            raise nothing_serves
        replaced = read_manifest(home / str(current)).replaces
        if replaced is None:
            raise BundleError(f"{home / str(current)}: nothing to roll back to, as version {current} replaced no other")
        verify_bundle(home / str(replaced))
        _write_current(home, replaced)
    return RollbackRecord(model_name, withdrawn_version=current, serving_version=replaced)


def _record(home: Path, version: int, files: tuple[FileRecord, ...], reason: str) -> PushRecord:
    return PushRecord(version, home / str(version), find_shipped_file(files).sha256, reason)


def _holds(bundle: Path, files: tuple[FileRecord, ...]) -> bool:
    """Return whether a bundle is intact and holds exactly these files."""
    try:
        if set(read_manifest(bundle).files) != set(files):
            return False
        verify_bundle(bundle)
    except BundleError:
        return False
    return True


def _check_baseline(home: Path, current: Optional[int], facts: BundleFacts, files: tuple[FileRecord, ...]) -> None:
    """Refuse to replace a version that the gate did not see, unless it holds the same TFLite model."""
    judged = facts.evaluation.scores.baseline_version
    if current is None or current == judged:
        return
    with contextlib.suppress(BundleError):
        if read_manifest(home / str(current)).shipped_file in files:
            return
    raise BundleError(
        f"{home}: version {current} serves, but the candidate was compared with version {judged}; "
        "run again to compare it with the serving version"
    )


def _next_version(home: Path, current: Optional[int]) -> int:
    """Return a version above all that are or were: withdrawn ones keep their folders."""
    used = (int(path.name) for path in home.iterdir() if path.name.isascii() and path.name.isdigit())
    return max([*used, current or 0]) + 1


def _write_bundle(candidate: Path, manifest: Manifest, home: Path) -> None:
    partial = Path(tempfile.mkdtemp(prefix=".push-", dir=home))
    try:
        # mkdtemp admits its owner only, but a bundle is there to be read.
        partial.chmod(0o755)
        for file in manifest.files:
            shutil.copyfile(candidate / file.name, partial / file.name)
            flush_to_disk(partial / file.name)
        manifest.write(partial / MANIFEST_FILE)
        verify_bundle(partial)
        partial.rename(home / str(manifest.version))
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    flush_to_disk(home)


def _write_current(home: Path, version: int) -> None:
    write_whole(home / CURRENT_FILE, f"{version}\n")


def _remove_leftovers(home: Path) -> None:
    """Remove what a killed push left behind; the lock guarantees that no other push is running."""
    for path in [path for pattern in _LEFTOVERS for path in home.glob(pattern)]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextlib.contextmanager
def _lock(home: Path) -> Iterator[None]:
    """Keep other pushes and rollbacks of this model out; the lock ends with its process, however that ends."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / _LOCK_FILE).open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _explain_disk_errors(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_ERRNOS:
            raise
        raise WorkspaceError(
            f"{home}: cannot be used ({error.strerror}). The current version keeps serving. "
            "Free space or fix permissions, then retry."
        ) from error
