"""Comparing a bundle's files with its manifest, and the manifest with its signature."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Optional

from reefline.bundle.manifest import MANIFEST_FILE, REMEDY, FileRecord, Manifest, read_manifest
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
    place = bundle if shown_as is None else shown_as
    problems = [
        f"{place}/{file.name}: {damage}; {REMEDY}"
        for file in manifest.files
        if (damage := _find_damage(bundle / file.name, file))
    ]
    if problems:
        raise BundleError(*problems)
    return manifest


def verify_for_use(bundle: Path, public_key: Optional[Path] = None) -> Manifest:
    """Return a bundle's manifest after `verify_bundle`, if nothing else is in its folder.

    With a `public_key`, its owner must have signed the manifest.

    Raises:
        BundleError: a file is missing, damaged or not listed, or the signature is missing or wrong.
        UsageError: the file `public_key` holds no key.
    """
    manifest = verify_bundle(bundle)
    refuse_unlisted(manifest, [path.name for path in bundle.iterdir()], bundle)
    if public_key is not None:
        check_bundle_signature(bundle, public_key)
    return manifest


def check_bundle_signature(bundle: Path, public_key: Path, shown_as: Optional[object] = None) -> None:
    """Make sure that a key signed a bundle; `shown_as` is as in `verify_bundle`.

    Raises:
        BundleError: the manifest is not signed, or not by this key.
        UsageError: the file holds no Ed25519 public key.
    """
    signature = bundle / SIGNATURE_FILE
    check_signature(
        (bundle / MANIFEST_FILE).read_bytes(),
        signature.read_bytes() if signature.is_file() else None,
        public_key,
        f"{bundle if shown_as is None else shown_as}/{MANIFEST_FILE}",
    )


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
