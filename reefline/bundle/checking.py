"""Comparing a bundle's files with its manifest, and the manifest with its signature."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Optional

from reefline.bundle.home import CURRENT_FILE, parse_version_names
from reefline.bundle.manifest import (
    MANIFEST_FILE,
    REMEDY,
    FileRecord,
    Manifest,
    parse_manifest,
    read_manifest,
    read_manifest_bytes,
)
from reefline.bundle.signature import SIGNATURE_FILE, check_signature
from reefline.errors import BundleError
from reefline.system.files import hash_file


def verify_bundle(bundle: Path, shown_as: Optional[object] = None) -> Manifest:
    """Return a bundle's manifest after comparing every file with it.

    `shown_as` is the place that messages name where `bundle` is a copy.

    Raises:
        BundleError: the manifest or a file is missing or damaged; one problem per file.
    """
    manifest = read_manifest(bundle)
    _compare_files(bundle, manifest, bundle if shown_as is None else shown_as)
    return manifest


def _compare_files(bundle: Path, manifest: Manifest, place: object) -> None:
    problems = [
        f"{place}/{file.name}: {damage}; {REMEDY}"
        for file in manifest.files
        if (damage := _find_damage(bundle / file.name, file))
    ]
    if problems:
        raise BundleError(*problems)


def verify_for_use(bundle: Path, public_key: Optional[Path] = None) -> Manifest:
    """Return a bundle's manifest after comparing every file with it, if nothing else is in its folder.

    With a `public_key`, its owner must have signed the manifest. It is read once: what is used is what was signed.

    Raises:
        BundleError: a file is missing, damaged or not listed, or the signature is missing or wrong.
        UsageError: the file `public_key` holds no key.
    """
    path = bundle / MANIFEST_FILE
    try:
        content = read_manifest_bytes(bundle)
    except BundleError as error:
        missing = _explain_missing(bundle) if isinstance(error.__cause__, FileNotFoundError) else None
        raise BundleError(missing) if missing else error from error.__cause__
    if public_key is not None:
        signature = bundle / SIGNATURE_FILE
        check_signature(content, signature.read_bytes() if signature.is_file() else None, public_key, path)
    manifest = parse_manifest(content, path)
    _compare_files(bundle, manifest, bundle)
    refuse_unlisted(manifest, [path.name for path in bundle.iterdir()], bundle)
    return manifest


def _explain_missing(bundle: Path) -> Optional[str]:
    """Return what to name instead of a missing folder, or of that of a model with its versions; None for others."""
    if (bundle / CURRENT_FILE).is_file():
        example = bundle / str(max(_list_versions(bundle), default=1))
        return f"{bundle}: the folder of a model; name the folder of one version, such as {example}"
    if bundle.exists():
        return None
    versions = ", ".join(map(str, sorted(_list_versions(bundle.parent))))
    advice = (
        f"{bundle.parent} has: {versions}" if versions else "name one version's, such as <workspace>/serving/demo/1"
    )
    return f"{bundle}: no such folder; {advice}"


def _list_versions(folder: Path) -> Sequence[int]:
    try:
        return parse_version_names([path.name for path in folder.iterdir()])
    except OSError:
        return []


def refuse_unlisted(manifest: Manifest, names: Iterable[str], place: object) -> None:
    """Make sure that a bundle's folder has only the files that its manifest lists; `names` are what it has.

    Raises:
        BundleError: it has others.
    """
    listed = {MANIFEST_FILE, SIGNATURE_FILE, *(file.name for file in manifest.files)}
    unlisted = sorted({*names} - listed)
    if unlisted:
        raise BundleError(*(f"{place}/{name}: not in the manifest; delete it or push again" for name in unlisted))


def _find_damage(path: Path, expected: FileRecord) -> Optional[str]:
    if not path.is_file():
        return "missing, but the manifest lists it"
    size = path.stat().st_size
    if size != expected.bytes:
        return f"{size} bytes found, {expected.bytes} expected"
    found = hash_file(path)
    if found != expected.sha256:
        return f"sha256 {found} found, {expected.sha256} expected"
    return None
