"""Which compiler a machine has: what a cache key needs to notice a change."""

from __future__ import annotations

import subprocess

from reefline.edgetpu.compiler.command import find_compiler, find_container_engine
from reefline.settings import CompilerSettings
from reefline.system.files import hash_file

_ENGINE_TIMEOUT_S = 10.0


def identify_compiler(settings: CompilerSettings) -> str:
    """Return the hash of the compiler's file, or the engine with the image's id; "" without a compiler.

    The id is "" if the engine does not have the image yet, or does not answer in time.
    """
    if settings.image is None:
        compiler = find_compiler()
        return hash_file(compiler) if compiler else ""
    engine = find_container_engine()
    if engine is None:
        return ""
    command = (str(engine), "image", "inspect", "--format", "{{.Id}}", settings.image)
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_ENGINE_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return engine.name
    return f"{engine.name} {run.stdout.strip() if run.returncode == 0 else ''}"
