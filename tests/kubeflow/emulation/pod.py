"""A pod's own disk and environment."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.kubeflow.emulation.errors import BackendError

# As in KFP's LocalPathForURI.
_MOUNTS = {"gs://": "/gcs/", "minio://": "/minio/", "s3://": "/s3/"}


@dataclass(frozen=True)
class Pod:
    """A folder that stands for the pod's root; nothing of it outlives the task.

    Without a file system of its own (`has_own_root`), a container finds its artifacts by `customPath`, which KFP has
    for artifacts that are not where their URI says.
    """

    root: Path
    has_own_root: bool = False

    def path(self, path: str) -> Path:
        """Return what the container calls `path`, as the container has to name it."""
        return Path(path) if self.has_own_root else self.on_host(path)

    def on_host(self, path: str | Path) -> Path:
        """Return where a path of the container is on this machine."""
        text = str(path)
        return Path(text) if text.startswith(f"{self.root}/") else self.root / text.lstrip("/")

    def local_path(self, uri: str) -> Path:
        """Return where the container finds an artifact.

        Raises:
            BackendError: the scheme is none that the launcher knows.
        """
        for scheme, mount in _MOUNTS.items():
            if uri.startswith(scheme):
                return self.path(mount + uri.removeprefix(scheme))
        raise BackendError(f"failed to generate local path for URI {uri}: unsupported storage scheme")

    def custom_path(self, uri: str) -> dict[str, str]:
        """Return the field of a RuntimeArtifact that tells the container its path, or nothing where it need not."""
        return {} if self.has_own_root else {"customPath": str(self.local_path(uri))}

    def create(self) -> None:
        """Make the pod's folders; what an earlier pod left is gone."""
        self.delete()
        for name in ("tmp", "cache", "work"):
            (self.root / name).mkdir(parents=True)

    def delete(self) -> None:
        """Delete the pod's disk."""
        shutil.rmtree(self.root, ignore_errors=True)

    def environment(self, given: Mapping[str, str], code: Path) -> dict[str, str]:
        """Return the container's environment: no HOME, and nothing of the shell that runs the tests.

        `given` is the container's own; `code` is the folder that the image has as its working folder.
        """
        own = {
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": str(code),
            "TMPDIR": str(self.path("/tmp")),
            "XDG_CACHE_HOME": str(self.path("/cache")),
            "KUBERNETES_SERVICE_HOST": "10.0.0.1",
            "KFP_POD_NAME": self.root.name,
        }
        # Child processes are measured where the tests are.
        measured = {name: value for name, value in os.environ.items() if name.startswith("COV")}
        return {**own, **measured, **given}
