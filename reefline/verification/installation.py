"""Checks of this machine: missing packages, wrong versions, free disk space; TensorFlow is not imported."""

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
from reefline.system.extras import PIPELINE_PYTHON, Extra, has_part_of

_RUNTIME = "ai-edge-litert"

# The versions that were tested together; pyproject.toml pins the same, and a test compares the two.
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
# A run stores the records, the checkpoints of a training and two exports.
MIN_FREE_BYTES = 2 * 1000**3
COMFORTABLE_FREE_BYTES = 10 * 1000**3


class Health(str, enum.Enum):
    """The result of a check; only a problem makes `reefline doctor` fail."""

    GOOD = "ok"
    NOTE = "note"
    PROBLEM = "PROBLEM"


@dataclass(frozen=True)
class Check:
    """One check and its result; `remedy` is what to do, "" for nothing."""

    name: str
    health: Health
    found: str
    remedy: str = ""


def examine(folder: Path) -> tuple[Check, ...]:
    """Run all checks; `folder` is the workspace, which need not exist yet.

    Without the pipeline, only the runtime is checked.
    """
    if not has_part_of(Extra.PIPELINE):
        return (check_runtime(), _note_missing_pipeline())
    return (
        check_python(platform.python_version()),
        *(check_distribution(name, version) for name, version in REQUIRED_VERSIONS.items()),
        check_legacy_keras(os.environ),
        check_object_detection(),
        check_disk(folder),
        check_compiler(find_compiler(), find_container_engine(), platform.machine()),
    )


def check_runtime(version_of: Callable[[str], str] = metadata.version) -> Check:
    """Check that TensorFlow Lite's runtime is installed, which runs bundles without the pipeline."""
    try:
        return Check(_RUNTIME, Health.GOOD, version_of(_RUNTIME))
    except metadata.PackageNotFoundError:
        return Check(_RUNTIME, Health.PROBLEM, "not installed", "bundles cannot run: run `pip install reefline` again")


def _note_missing_pipeline() -> Check:
    remedy = f"training needs it, on Python {PIPELINE_PYTHON}: run `make setup` in a checkout (docs/install.md)"
    return Check("pipeline", Health.NOTE, "not installed", remedy)


def check_python(version: str) -> Check:
    """Check the version of Python, such as "3.10.13"."""
    if version.split(".")[:2] == PIPELINE_PYTHON.split("."):
        return Check("Python", Health.GOOD, version)
    return Check(
        "Python",
        Health.PROBLEM,
        version,
        f"TFX 1.16 needs Python {PIPELINE_PYTHON}: run `make setup`, then use .venv/bin/python",
    )


def check_distribution(name: str, expected: str, version_of: Callable[[str], str] = metadata.version) -> Check:
    """Check that a distribution is installed in the version that was tested."""
    try:
        found = version_of(name)
    except metadata.PackageNotFoundError:
        return Check(name, Health.PROBLEM, "not installed", f"{name} {expected} is required: run `make setup`")
    if found == expected:
        return Check(name, Health.GOOD, found)
    return Check(
        name,
        Health.PROBLEM,
        found,
        f"expected {expected}, the only version tested with the others: run `make setup`",
    )


def check_legacy_keras(environment: Mapping[str, str]) -> Check:
    """Check that the environment does not turn legacy Keras off; Reefline itself turns it on."""
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
    """Check that the package `object_detection` exists and belongs to the OD API."""
    spec = importlib.util.find_spec("object_detection")
    if spec is None or not spec.submodule_search_locations:
        return Check("OD API", Health.PROBLEM, "object_detection is not installed", "run `make setup`")
    folder = Path(next(iter(spec.submodule_search_locations)))
    if not (folder / "model_lib_v2.py").is_file():
        return Check(
            "OD API",
            Health.PROBLEM,
            f"{folder} is another package of the same name",
            "remove it from PYTHONPATH, or run `make setup`",
        )
    return Check("OD API", Health.GOOD, "object_detection is installed")


def check_disk(folder: Path, free_bytes: int | None = None) -> Check:
    """Check the free disk space of the workspace, or of its nearest parent that exists."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free if free_bytes is None else free_bytes
    found = f"{free / 1000**3:.1f} GB free at {existing}"
    if free < MIN_FREE_BYTES:
        remedy = f"a small run needs {MIN_FREE_BYTES / 1000**3:.0f} GB: free some space, or use another --workspace"
        return Check("disk", Health.PROBLEM, found, remedy)
    if free < COMFORTABLE_FREE_BYTES:
        return Check("disk", Health.NOTE, found, "enough to start; many runs or a large data set need more")
    return Check("disk", Health.GOOD, found)


def check_compiler(compiler: Path | None, engine: Path | None, machine: str) -> Check:
    """Check for edgetpu_compiler, or for a container engine to run it; both are optional.

    The engine is not started, and no image is checked: the config names the image.
    """
    if compiler is not None:
        return Check(COMPILER, Health.GOOD, str(compiler))
    if engine is not None:
        emulation = "" if machine == "x86_64" else f" (this is {machine}: {engine.name} needs emulation for amd64)"
        return Check(
            COMPILER,
            Health.NOTE,
            f"not on the PATH; {engine} can run it in a container",
            "models are not compiled (`compiled: false` in the bundle) unless exporter.compiler.image names an image; "
            f"docker/edgetpu-compiler.Dockerfile builds one{emulation}",
        )
    where = "from Coral's apt repository" if machine == "x86_64" else f"on x86-64 Debian only (this is {machine})"
    return Check(
        COMPILER,
        Health.NOTE,
        f"not on the PATH, and neither is {' or '.join(CONTAINER_ENGINES)}",
        f"models are not compiled (`compiled: false` in the bundle); to compile for the Edge TPU, install it {where}, "
        f"or install {' or '.join(CONTAINER_ENGINES)} and set exporter.compiler.image to an image that contains it",
    )
