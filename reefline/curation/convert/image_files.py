"""The image files of a data set, found by the names that annotations give them."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from pathlib import Path

from reefline.data.layouts import list_any_files


class ImageFiles:
    """The images of a folder; only files found inside are ever returned, whatever an annotation names."""

    def __init__(self, root: Path) -> None:
        """List the images below `root`.

        Raises:
            DataError: the folder is missing, cannot be listed, or holds no images.
        """
        self.root = root
        self.paths = frozenset(list_any_files(root).images)
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for path in sorted(self.paths):
            self._by_name[posixpath.basename(path)].append(path)

    def find(self, name: str) -> str | None:
        """Return the image that an annotation calls `name`; None where none or several fit.

        `name` may be a path of the machine that made the annotations: the longest common end decides.
        """
        if name in self.paths:
            return name
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        candidates = self._by_name.get(parts[-1], []) if parts else []
        for start in range(len(parts)):
            tail = "/".join(parts[start:])
            fitting = [path for path in candidates if f"/{path}".endswith(f"/{tail}")]
            if fitting:
                return fitting[0] if len(fitting) == 1 else None
        return None
