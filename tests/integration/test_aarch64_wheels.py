"""Every dependency of a device has a wheel for a Raspberry Pi: Linux on aarch64, Python 3.11 to 3.13."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

REPO_DIR = Path(__file__).resolve().parents[2]
PLATFORM = ("--python-platform", "aarch64-manylinux_2_28", "--only-binary", ":all:", "--no-python-downloads")
INSTALL_PAGE = (REPO_DIR / "docs" / "install.md").read_text(encoding="utf-8")


def resolve(requirements: str, python: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Resolve for the board with uv; a package without a wheel for it is an error."""
    # `make setup` installs uv into .tools; a pyenv shim named uv may exist and fail.
    candidates = (shutil.which("uv"), str(REPO_DIR / ".tools" / "bin" / "uv"))
    uv = next((path for path in candidates if path and _runs(path)), None)
    if uv is None:
        pytest.skip("uv is missing; run `make setup`, or install it")
    command = [uv, "pip", "compile", *PLATFORM, "--python-version", python, "--no-header", "--no-annotate", *options]
    done = subprocess.run([*command, requirements], cwd=REPO_DIR, capture_output=True, text=True, check=False)
    if done.returncode != 0 and re.search("Failed to fetch|error sending request|dns error", done.stderr):
        pytest.skip("no package index can be reached")
    return done


def _runs(uv: str) -> bool:
    try:
        return subprocess.run([uv, "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_base_dependencies_have_wheels_for_a_raspberry_pi(python: str) -> None:
    done = resolve("pyproject.toml", python)
    assert done.returncode == 0, done.stderr
    names = {line.partition("==")[0] for line in done.stdout.splitlines() if "==" in line}
    assert {"ai-edge-litert", "numpy", "pillow", "pydantic-core"} <= names
    assert not {name for name in names if f"| {name} |" not in INSTALL_PAGE}


def test_extras_of_devices_have_wheels_for_a_raspberry_pi() -> None:
    extras = ("signing", "storage", "serve", "video")
    done = resolve("pyproject.toml", "3.13", *(word for extra in extras for word in ("--extra", extra)))
    assert done.returncode == 0, done.stderr


def test_a_dependency_without_such_a_wheel_is_found(tmp_path: Path) -> None:
    (tmp_path / "requirements.in").write_text("tflite-support==0.4.4\n")
    done = resolve(str(tmp_path / "requirements.in"), "3.13")
    assert done.returncode != 0
    assert "tflite-support" in done.stderr
