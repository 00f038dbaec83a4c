"""Where bundles serve: pushing one, rolling back, and what serves now.

<destination>/<model>/<version>/   one bundle; the version is an integer that grows
<destination>/<model>/CURRENT      the version that serves, a text file

A bundle is written beside its place under a hidden name, flushed to the disk and renamed; CURRENT is replaced after
that, in one step. A crash anywhere leaves the old version serving, and at worst a hidden folder that the next push
removes or a whole bundle that never served.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import json
import os
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
    PushRecord,
    read_manifest,
    record_files,
    verify_bundle,
)
from reefline.errors import BundleError, ConfigError, WorkspaceError
from reefline.system.files import hash_file

CURRENT_FILE = "CURRENT"
_LOCK_FILE = ".lock"
_LEFTOVER_PREFIX = ".push-"
_MODEL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_DISK_ERRORS = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOTDIR,
        errno.EEXIST,
    }
)


@dataclass(frozen=True)
class RollbackRecord:
    """What a rollback did."""

    model: str
    withdrawn_version: int
    serving_version: int


@dataclass(frozen=True)
class Baseline:
    """The bundle to compare with: its version and its TFLite file's sha256; version 0 says that there is none."""

    version: int
    sha256: str


NO_BASELINE = Baseline(0, "")


def locate_model(destination: Path, model_name: str) -> Path:
    """Return the folder of a model's bundles.

    Raises:
        ConfigError: the name is no plain folder name.
    """
    if not _MODEL_NAME.fullmatch(model_name):
        raise ConfigError(
            f"model name {model_name!r}: letters, digits, '_', '-' and '.' expected, the first no '-' or '.'; rename it"
        )
    return destination / model_name


def locate_bundle(destination: Path, model_name: str, version: int) -> Path:
    """Return the folder of one version's bundle, whether it is there or not."""
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
        raise BundleError(f"{path}: {text!r} found, a version expected; write the version that is to serve into it")
    return int(text)


def resolve_baseline(destination: Path, model_name: str, candidate: Path) -> Baseline:
    """Return the bundle that a candidate has to be compared with.

    That is the one that serves; where it holds the very candidate, the one it replaced, so that a second run with
    nothing changed compares the same two models as the first.

    Raises:
        BundleError: the candidate is incomplete, or what serves is damaged.
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

    `candidate` is the folder with the TFLite files and labels.txt; other files in it are not shipped.

    Raises:
        BundleError: the candidate is incomplete, CURRENT is damaged, or another version serves than the gate compared
            the candidate with.
        WorkspaceError: the destination cannot be written, or the disk is full; what served goes on serving.
    """
    files = record_files(candidate)
    home = locate_model(destination, facts.model)
    with _explain_disk_errors(home), _lock(home):
        _remove_leftovers(home)
        current = read_current(destination, facts.model)
        if current is not None and _holds(home / str(current), files):
            reason = f"version {current} serves and holds this very model"
            return PushRecord(True, current, str(home / str(current)), reason)
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
    return PushRecord(True, manifest.version, str(home / str(manifest.version)), reason)


def rollback(destination: Path, model_name: str) -> RollbackRecord:
    """Make the version serve again that the current one replaced; the withdrawn bundle stays where it is.

    Raises:
        BundleError: nothing serves, the current version replaced none, or what it replaced is missing or damaged.
        WorkspaceError: the destination cannot be written.
    """
    home = locate_model(destination, model_name)
    nothing_serves = BundleError(f"{home}: no version serves, so there is nothing to roll back; push a bundle first")
    if not home.is_dir():
        raise nothing_serves
    with _explain_disk_errors(home), _lock(home):
        current = read_current(destination, model_name)
        if current is None:
            raise nothing_serves
        replaced = read_manifest(home / str(current)).replaces
        if replaced is None:
            raise BundleError(
                f"{home / str(current)}: version {current} replaced no other, so there is nothing to roll back to"
            )
        verify_bundle(home / str(replaced))
        _write_current(home, replaced)
    return RollbackRecord(model_name, withdrawn_version=current, serving_version=replaced)


def _holds(bundle: Path, files: tuple[FileRecord, ...]) -> bool:
    """Return whether a bundle is whole and holds exactly these files."""
    try:
        return set(verify_bundle(bundle).files) == set(files)
    except BundleError:
        return False


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
        "run again to compare it with what serves now"
    )


def _next_version(home: Path, current: Optional[int]) -> int:
    """Return a version above all that are or were: withdrawn ones keep their folders."""
    taken = (int(path.name) for path in home.iterdir() if path.name.isascii() and path.name.isdigit())
    return max([*taken, current or 0, 0]) + 1


def _write_bundle(candidate: Path, manifest: Manifest, home: Path) -> None:
    beside = Path(tempfile.mkdtemp(prefix=_LEFTOVER_PREFIX, dir=home))
    try:
        # mkdtemp lets only its owner in; a bundle is there to be read.
        beside.chmod(0o755)
        for file in manifest.files:
            shutil.copyfile(candidate / file.name, beside / file.name)
            _flush(beside / file.name)
        text = json.dumps(manifest.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
        (beside / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")
        _flush(beside / MANIFEST_FILE)
        verify_bundle(beside)
        _flush(beside)
        beside.rename(home / str(manifest.version))
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    _flush(home)


def _write_current(home: Path, version: int) -> None:
    handle, name = tempfile.mkstemp(prefix=_LEFTOVER_PREFIX, dir=home)
    beside = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(f"{version}\n")
            stream.flush()
            os.fsync(stream.fileno())
        beside.chmod(0o644)
        beside.replace(home / CURRENT_FILE)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    _flush(home)


def _flush(path: Path) -> None:
    """Make the disk hold a file's content, or a folder's list of names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_leftovers(home: Path) -> None:
    """Remove what a push that was killed left behind; the lock says that no other push is at work."""
    for path in home.glob(f"{_LEFTOVER_PREFIX}*"):
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
        if error.errno not in _DISK_ERRORS:
            raise
        raise WorkspaceError(
            f"{home}: cannot be used ({error.strerror}); what served goes on serving. "
            "Make room on the device or make the folder writable, and try again"
        ) from error
