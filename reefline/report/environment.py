"""What a run ran on: sources, versions and machine, kept next to its report."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from reefline.system.checkout import read_checkout
from reefline.system.record import Record

ENVIRONMENT_FILE = "environment.json"
_SOURCES = Path(__file__).resolve().parents[2]
# Those that change what is trained, exported or measured.
_PACKAGES = (
    "tensorflow",
    "tf-keras",
    "tf-models-research-object-detection",
    "tf-models-official",
    "tfx",
    "ml-metadata",
    "apache-beam",
    "ai-edge-litert",
    "pycocotools",
    "numpy",
    "pillow",
)


@dataclass(frozen=True)
class Environment(Record):
    """Sources, versions and machine; `packages` maps a distribution to its version."""

    commit: str = ""
    is_dirty: bool = False
    python: str = ""
    system: str = ""
    processor: str = ""
    cores: int = 0
    packages: Mapping[str, str] = field(default_factory=dict)


def read_environment() -> Environment:
    """Return what this process runs on."""
    checkout = read_checkout(_SOURCES)
    return Environment(
        commit=checkout.commit,
        is_dirty=checkout.is_dirty,
        python=platform.python_version(),
        system=platform.platform(),
        processor=platform.machine(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        packages=_read_versions(),
    )


def _read_versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
