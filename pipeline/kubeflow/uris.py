"""URIs of the store, and the paths under which KFP's launcher offers the same files in a pod."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# As in KFP's backend/src/v2/component/launcher_v2.go, LocalPathForURI.
_ROOTS = {"gs://": "/gcs/", "minio://": "/minio/", "s3://": "/s3/"}


def to_local_path(uri: str) -> str:
    """Return the path in the pod of what a URI names; a path stays as it is."""
    for scheme, root in _ROOTS.items():
        if uri.startswith(scheme):
            return root + uri.removeprefix(scheme)
    return uri


@dataclass(frozen=True)
class UriMap:
    """Pairs of (URI, path in the pod) of one task's artifacts.

    Facts about artifacts name files inside them, so prefixes are mapped, too. What belongs to no artifact of the task
    stays: a bundle's address is a URI for everyone.
    """

    pairs: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, artifacts: Iterable[tuple[str, str]]) -> UriMap:
        """Return the map of these pairs; the longest come first, as one URI may lie within another."""
        return cls(tuple(sorted(artifacts, key=lambda pair: -len(pair[0]))))

    def to_path(self, value: str) -> str:
        """Return a fact as the pod knows it."""
        return _replace_prefix(value, self.pairs)

    def to_uri(self, value: str) -> str:
        """Return a fact as everyone outside of the pod knows it."""
        return _replace_prefix(value, tuple((path, uri) for uri, path in self.pairs))


def _replace_prefix(value: str, pairs: tuple[tuple[str, str], ...]) -> str:
    for old, new in pairs:
        if value == old or value.startswith(f"{old.rstrip('/')}/"):
            return new.rstrip("/") + value[len(old.rstrip("/")) :]
    return value
