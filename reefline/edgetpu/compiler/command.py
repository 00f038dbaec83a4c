"""Where edgetpu_compiler is found, and the command line that runs it: from the PATH, or from a container image.

Options follow Coral's documentation of version 16.0.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from reefline.edgetpu.compiler.outcome import COMPILER, NotCompiled
from reefline.settings import CompilerSettings

CONTAINER_ENGINES = ("docker", "podman")
_MODEL_MOUNT = PurePosixPath("/model")
_OUTPUT_MOUNT = PurePosixPath("/output")


@dataclass(frozen=True)
class Command:
    """A command line, and the one that removes its container after a kill (empty without a container)."""

    line: tuple[str, ...]
    clean_up: tuple[str, ...] = ()


def find_compiler() -> Path | None:
    """Return the compiler on the PATH, or None."""
    found = shutil.which(COMPILER)
    return Path(found) if found else None


def find_container_engine() -> Path | None:
    """Return docker or podman on the PATH, docker first, or None."""
    found = next(filter(None, map(shutil.which, CONTAINER_ENGINES)), None)
    return Path(found) if found else None


def find_command(model: Path, output_dir: Path, settings: CompilerSettings, segments: int = 1) -> Command | NotCompiled:
    """Return the command line that compiles `model` to `output_dir`, or why there is none and what to do."""
    if settings.image is not None:
        engine = find_container_engine()
        if engine is None:
            return NotCompiled(
                f"neither {' nor '.join(CONTAINER_ENGINES)} is on the PATH to run the image {settings.image}; "
                f"install one of them, or {COMPILER} itself"
            )
        return _run_in_container(engine, settings.image, model, output_dir, settings, segments)
    compiler = find_compiler()
    if compiler is None:
        return NotCompiled(
            f"{COMPILER} is not on the PATH and no container image is set; install it (x86-64 Debian), or set an "
            "image (exporter.compiler.image, --image)"
        )
    return Command((str(compiler), *_list_arguments(model, output_dir, settings, segments)))


def _list_arguments(
    model: PurePath, output_dir: PurePath, settings: CompilerSettings, segments: int
) -> tuple[str, ...]:
    options = ["-s", "-o", str(output_dir), "-t", str(max(1, int(settings.timeout_s)))]
    if settings.min_runtime_version is not None:
        options += ["-m", str(settings.min_runtime_version)]
    if settings.search_delegate:
        options += ["-d", "-k", str(settings.delegate_search_step)]
    if segments > 1:
        options += ["--num_segments", str(segments)]
    return (*options, str(model))


def _run_in_container(
    engine: Path, image: str, model: Path, output_dir: Path, settings: CompilerSettings, segments: int
) -> Command:
    """Return the container's command line: no network, the model's folder read-only, one writable folder."""
    name = f"reefline-edgetpu-{uuid.uuid4().hex}"
    line = (
        *(str(engine), "run", "--rm", "--name", name, "--platform", "linux/amd64", "--network", "none"),
        # SELinux would deny access to the two folders; relabelling the user's own folder is not an option.
        *("--security-opt", "label=disable"),
        *_list_user_options(engine),
        *("--mount", _mount(model.parent, _MODEL_MOUNT, "readonly"), "--mount", _mount(output_dir, _OUTPUT_MOUNT)),
        *("--workdir", str(_OUTPUT_MOUNT), "--entrypoint", COMPILER, image),
        *_list_arguments(_MODEL_MOUNT / model.name, _OUTPUT_MOUNT, settings, segments),
    )
    return Command(line, clean_up=(str(engine), "rm", "--force", name))


def _mount(source: Path, target: PurePath, *options: str) -> str:
    """Return the value of --mount, which is a line of CSV: unlike that of --volume, it can hold any path."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(["type=bind", f"source={source}", f"target={target}", *options])
    return line.getvalue()


def _list_user_options(engine: Path) -> tuple[str, ...]:
    """Make the current user own the output: rootless podman maps users by itself, docker needs to be told."""
    if engine.name == "docker":
        return ("--user", f"{os.getuid()}:{os.getgid()}")
    return ("--userns", "keep-id") if os.getuid() != 0 else ()
