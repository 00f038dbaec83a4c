"""The object store of a backend, as a folder; objects have keys and contents, and there are no folders."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ObjectStore:
    """Objects as <root>/<scheme>/<bucket>/<key>."""

    root: Path

    def path(self, uri: str) -> Path:
        """Return where an object, or all objects below a key, are on this machine."""
        return self.root / uri.replace("://", "/", 1)

    def upload(self, local: Path, uri: str) -> bool:
        """Store a file, or every file of a folder; False if nothing exists there, as a warning in the launcher."""
        if not local.exists():
            return False
        for file in [local] if local.is_file() else sorted(p for p in local.rglob("*") if p.is_file()):
            target = self.path(uri) / file.relative_to(local)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        return True

    def download(self, uri: str, local: Path, *, with_siblings: bool) -> int:
        """Fetch the objects at and below a key, and return their bytes; no object, no folder.

        `with_siblings`: as KFP 2.5, also objects whose key only starts with this one.
        """
        number_of_bytes = 0
        for name, found in self._list(uri, with_siblings=with_siblings):
            for file in [found] if found.is_file() else sorted(p for p in found.rglob("*") if p.is_file()):
                target = local.with_name(name) / file.relative_to(found)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
                number_of_bytes += target.stat().st_size
        return number_of_bytes

    def _list(self, uri: str, *, with_siblings: bool) -> Iterator[tuple[str, Path]]:
        path = self.path(uri)
        found = sorted(path.parent.glob(f"{path.name}*")) if path.parent.is_dir() else []
        yield from ((one.name, one) for one in found if with_siblings or one == path)
