"""A bundle in an object store: reading it, and copying it here.

Its manifest is uploaded last and never changes: a bundle without one does not exist, and its sha256 identifies all
files.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Optional, Union

from reefline.bundle.checking import verify_bundle
from reefline.bundle.manifest import MANIFEST_FILE, REMEDY, Manifest, parse_manifest
from reefline.bundle.signature import SIGNATURE_FILE, check_signature
from reefline.errors import BundleError
from reefline.storage.interface import Storage
from reefline.storage.location import Location
from reefline.storage.opening import open_storage
from reefline.system.files import cache_directory


def read_remote_manifest(storage: Storage) -> Manifest:
    """Return the manifest of the bundle in a storage.

    Raises:
        BundleError: it is missing or damaged.
        StorageError: the store cannot be read.
    """
    return parse_manifest(_read_manifest(storage), storage.location / MANIFEST_FILE)


def fetch_remote_bundle(storage: Storage, folder: Path, public_key: Optional[Path] = None) -> Manifest:
    """Copy the bundle in a storage into a local folder, and verify it.

    With a `public_key`, its owner must have signed the manifest.

    Raises:
        BundleError: a file is missing or damaged, or the signature is missing or wrong; the messages name the place in
            the store.
        UsageError: the file `public_key` holds no key.
        StorageError: the store cannot be read.
        OSError: the folder cannot be written.
    """
    content = _read_manifest(storage)
    if public_key is not None:
        signature = storage.read(SIGNATURE_FILE)
        check_signature(content, signature.data if signature else None, public_key, storage.location / MANIFEST_FILE)
    manifest = parse_manifest(content, storage.location / MANIFEST_FILE)
    folder.mkdir(parents=True, exist_ok=True)
    for file in manifest.files:
        storage.download(file.name, folder / file.name)
    storage.download(SIGNATURE_FILE, folder / SIGNATURE_FILE)
    (folder / MANIFEST_FILE).write_bytes(content)
    return verify_bundle(folder, shown_as=storage.location)


def open_bundle(place: Union[str, os.PathLike[str], Location]) -> Path:
    """Return the local folder of a bundle; one in an object store is downloaded once and kept in the user's cache.

    The cache's folder has the sha256 of the manifest, with its signature if it has one, as its name. A damaged copy is
    downloaded again.

    Raises:
        BundleError: the remote bundle is missing or damaged. A local one is not looked at.
        StorageError: the store cannot be read, or its scheme is not supported.
    """
    location = Location.parse(place)
    if not location.is_remote:
        return location.local_path
    storage = open_storage(location)
    remedy = "name the folder of one version, such as …/<model>/3"
    signature = storage.read(SIGNATURE_FILE)
    sha256 = hashlib.sha256(_read_manifest(storage, remedy) + (signature.data if signature else b"")).hexdigest()
    cached = cache_directory() / "bundles" / sha256
    with contextlib.suppress(BundleError):
        verify_bundle(cached)
        return cached
    cached.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", suffix=".part", dir=cached.parent) as partial:
        fetched = Path(partial) / sha256
        fetch_remote_bundle(storage, fetched)
        shutil.rmtree(cached, ignore_errors=True)
        try:
            fetched.rename(cached)
        except OSError:
            # Another process was faster; its copy is as good.
            verify_bundle(cached)
    return cached


def _read_manifest(storage: Storage, remedy: str = REMEDY) -> bytes:
    found = storage.read(MANIFEST_FILE)
    if found is None:
        raise BundleError(f"{storage.location / MANIFEST_FILE}: missing; {remedy}")
    return found.data
