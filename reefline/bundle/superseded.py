"""Bundles that nothing needs any more."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from reefline.bundle.home import BundleHome
from reefline.bundle.store import Destination, open_home


@dataclass(frozen=True)
class SupersededBundle:
    """A bundle that can be removed, and the bytes of its files."""

    model: str
    version: int
    bytes: int


def find_needed_versions(home: BundleHome) -> frozenset[int]:
    """Return the versions that must stay: what serves, what a rollback goes back to, withdrawn ones, and the newest.

    A withdrawn bundle keeps its model from being pushed again, and the newest keeps its number from being used again.
    Where nothing serves, all of them stay: any may be the one to serve again.

    Raises:
        BundleError: CURRENT or the serving bundle's manifest is missing or damaged.
        WorkspaceError, StorageError: the folder cannot be read.
    """
    current, versions = home.read_current(), home.list_versions()
    if current is None:
        return frozenset(versions)
    replaced = home.read_manifest(current.version).replaces
    return frozenset({current.version, max(versions), *home.list_withdrawn(), *([replaced] if replaced else [])})


def find_superseded(
    destination: Destination, model: str, *, newest: int = 0, also_needed: Collection[int] = ()
) -> tuple[SupersededBundle, ...]:
    """Return the bundles of a model that can be removed; the `newest` versions and those in `also_needed` stay too.

    Unfinished versions are left alone: a push may be writing them.

    Raises:
        BundleError: CURRENT or the serving bundle's manifest is missing or damaged.
        WorkspaceError, StorageError: the destination cannot be read.
    """
    home = open_home(destination, model)
    if not home.exists():
        return ()
    versions = sorted(home.list_versions(), reverse=True)
    if not versions:
        return ()
    needed = find_needed_versions(home) | {*versions[:newest], *also_needed}
    old = [version for version in reversed(versions) if version not in needed and home.has_bundle(version)]
    return tuple(SupersededBundle(model, version, home.measure(version)) for version in old)


def remove_superseded(destination: Destination, bundles: Collection[SupersededBundle]) -> None:
    """Remove bundles, except those that began to serve since they were found.

    Raises:
        BundleError: CURRENT or the serving bundle's manifest is missing or damaged.
        WorkspaceError: the destination cannot be written.
        StorageError: the destination cannot be read.
    """
    for model in sorted({bundle.model for bundle in bundles}):
        home = open_home(destination, model)
        with home.changing():
            for bundle in bundles:
                if bundle.model == model and bundle.version not in find_needed_versions(home):
                    home.remove(bundle.version)
