"""What is missing on this machine or of the wrong version, in plain words; TensorFlow is looked at, not imported."""

from __future__ import annotations

import enum
import importlib.util
import os
import platform
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from reefline.edgetpu.compiler.command import CONTAINER_ENGINES, find_compiler, find_container_engine
from reefline.edgetpu.compiler.outcome import COMPILER
from reefline.od_api.compat import LEGACY_KERAS_VARIABLE

PYTHON_VERSION = "3.10"

# What runs together, as measured; pyproject.toml pins the same, and a test compares the two.
REQUIRED_VERSIONS: Mapping[str, str] = {
    "tensorflow": "2.16.2",
    "tf-keras": "2.16.0",
    "protobuf": "3.20.3",
    "numpy": "1.26.4",
    "tfx": "1.16.0",
    "apache-beam": "2.59.0",
    "tf-models-official": "2.16.0",
    "tf-models-research-object-detection": "2.8.0.post1",
}
# A run keeps the records, the checkpoints of a training and two exports.
MIN_FREE_BYTES = 2 * 1000**3
COMFORTABLE_FREE_BYTES = 10 * 1000**3


class Health(str, enum.Enum):
    """How a check ended; only a problem makes `reefline doctor` fail."""

    GOOD = "ok"
    NOTE = "note"
    PROBLEM = "PROBLEM"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; `remedy` says what to do, "" where nothing has to be done."""

    name: str
    health: Health
    found: str
    remedy: str = ""


def examine(folder: Path) -> tuple[Check, ...]:
    """Return all checks; `folder` is where a workspace would lie."""
    return (
        check_python(platform.python_version()),
        *(check_distribution(name, version) for name, version in REQUIRED_VERSIONS.items()),
        check_legacy_keras(os.environ),
        check_object_detection(),
        check_disk(folder),
        check_compiler(find_compiler(), find_container_engine(), platform.machine()),
    )


def check_python(version: str) -> Check:
    """Check Python's own version, such as "3.10.13"."""
    if version.split(".")[:2] == PYTHON_VERSION.split("."):
        return Check("Python", Health.GOOD, version)
    return Check(
        "Python",
        Health.PROBLEM,
        version,
        f"TFX 1.16 needs Python {PYTHON_VERSION}: run `make setup`, then use .venv/bin/python",
    )


def check_distribution(name: str, expected: str, version_of: Callable[[str], str] = metadata.version) -> Check:
    """Check that a distribution is there in the version that was tested."""
    try:
        found = version_of(name)
    except metadata.PackageNotFoundError:
        return Check(name, Health.PROBLEM, "not installed", f"{name} {expected} is needed: run `make setup`")
    if found == expected:
        return Check(name, Health.GOOD, found)
    return Check(
        name,
        Health.PROBLEM,
        found,
        f"expected {expected}: another version does not work with the rest; run `make setup`",
    )


def check_legacy_keras(environment: Mapping[str, str]) -> Check:
    """Check that nothing in the environment turns legacy Keras off; Reefline turns it on by itself."""
    value = environment.get(LEGACY_KERAS_VARIABLE)
    if value is None:
        return Check("legacy Keras", Health.GOOD, f"{LEGACY_KERAS_VARIABLE} is not set; Reefline sets it")
    if value in ("1", "true", "True"):
        return Check("legacy Keras", Health.GOOD, f"{LEGACY_KERAS_VARIABLE}={value}")
    return Check(
        "legacy Keras",
        Health.PROBLEM,
        f"{LEGACY_KERAS_VARIABLE}={value}",
        f"the OD API needs Keras 2: unset {LEGACY_KERAS_VARIABLE}, or set it to 1",
    )


def check_object_detection() -> Check:
    """Check that the package `object_detection` can be found and is the one of the distribution that is pinned."""
    spec = importlib.util.find_spec("object_detection")
    if spec is None or not spec.submodule_search_locations:
        return Check("OD API", Health.PROBLEM, "no package object_detection", "run `make setup`")
    folder = Path(next(iter(spec.submodule_search_locations)))
    if not (folder / "model_lib_v2.py").is_file():
        return Check(
            "OD API",
            Health.PROBLEM,
            f"{folder} is another package of that name",
            "remove it from PYTHONPATH, or run `make setup`",
        )
    return Check("OD API", Health.GOOD, "object_detection is there")


def check_disk(folder: Path, free_bytes: int | None = None) -> Check:
    """Check the space that is free where a workspace would lie (its nearest folder that exists)."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free if free_bytes is None else free_bytes
    found = f"{free / 1000**3:.1f} GB free at {existing}"
    if free < MIN_FREE_BYTES:
        remedy = f"a small run needs {MIN_FREE_BYTES / 1000**3:.0f} GB: free some, or name another --workspace"
        return Check("disk", Health.PROBLEM, found, remedy)
    if free < COMFORTABLE_FREE_BYTES:
        return Check("disk", Health.NOTE, found, "enough to start; many runs or a large data set need more")
    return Check("disk", Health.GOOD, found)


def check_compiler(compiler: Path | None, engine: Path | None, machine: str) -> Check:
    """Check for edgetpu_compiler or a container engine to run an image of it; a run can do without either.

    The engine is not started, and no image is looked for: which one to take, a config says.
    """
    if compiler is not None:
        return Check(COMPILER, Health.GOOD, str(compiler))
    if engine is not None:
        emulation = "" if machine == "x86_64" else f" (this is {machine}: {engine.name} needs emulation for amd64)"
        return Check(
            COMPILER,
            Health.NOTE,
            f"not on the PATH; an image of it could be run by {engine}",
            "bundles will say `compiled: false` unless exporter.compiler.image names an image; "
            f"docker/edgetpu-compiler.Dockerfile builds one{emulation}",
        )
    where = "from Coral's apt repository" if machine == "x86_64" else f"on x86-64 Debian only (this is {machine})"
    return Check(
        COMPILER,
        Health.NOTE,
        f"not on the PATH, and neither is {' or '.join(CONTAINER_ENGINES)}",
        f"bundles will say `compiled: false`; to compile for the Edge TPU, install it {where}, or install "
        f"{' or '.join(CONTAINER_ENGINES)} and name an image of it in exporter.compiler.image",
    )
