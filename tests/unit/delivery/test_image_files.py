"""What the image is made of: its entry point, its context, and what is removed from its environment."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[3]


def make_program(folder: Path, name: str) -> None:
    """Write a program that prints its own name and its arguments."""
    path = folder / name
    path.write_text(f'#!/bin/sh\necho {name} "$@"\n', encoding="utf-8")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(["local_runner.py", "--data", "/data"], "python local_runner.py --data /data", id="a script"),
        pytest.param(["reefline", "doctor"], "reefline doctor", id="a command"),
        pytest.param(
            ["python", "-m", "pipeline.kubeflow.entrypoint"], "python -m pipeline.kubeflow.entrypoint", id="a module"
        ),
        pytest.param(
            ["local_runner.py", "--data", "my photos"], "python local_runner.py --data my photos", id="a space"
        ),
    ],
)
def test_the_entry_point_runs_scripts_and_commands(tmp_path: Path, arguments: list[str], expected: str) -> None:
    for name in ("python", "reefline"):
        make_program(tmp_path, name)
    entrypoint = ["sh", str(REPO / "docker" / "entrypoint.sh")]
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ended = subprocess.run([*entrypoint, *arguments], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == expected


def test_trimming_keeps_what_libraries_import(tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3.10" / "site-packages"
    removed = ["numpy/core/tests/test_array.py", "tensorflow/include/tensor.h", "pip/main.py", "pyarrow/libarrow.a"]
    kept = ["numpy/testing/utils.py", "scipy/stats/_page_trend_test.py", "numpy-1.26.4.dist-info/METADATA"]
    for name in (*removed, *kept):
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).touch()
    (tmp_path / "bin").mkdir()
    subprocess.run(["sh", str(REPO / "docker" / "trim-environment.sh"), str(tmp_path)], check=True)
    assert [name for name in (*removed, *kept) if (packages / name).exists()] == kept
    assert (packages / "reefline.pth").read_text(encoding="utf-8") == "/app\n"
    assert os.access(tmp_path / "bin" / "reefline", os.X_OK)


def test_the_context_has_what_the_image_copies() -> None:
    ignored = (REPO / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_through = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert "*" in ignored
    assert all((REPO / name).exists() for name in let_through)
    # A component's code, and everything that it may reach.
    assert {"components", "configs", "pipeline", "reefline", "local_runner.py", "kubeflow_runner.py"} <= let_through
    lines = (REPO / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = [
        name for line in lines if line.startswith("COPY ") and "--from" not in line for name in line.split()[1:-1]
    ]
    assert {name for name in copied if name != "."} <= let_through


def test_a_change_of_the_code_keeps_the_layer_of_libraries() -> None:
    lines = (REPO / "Dockerfile").read_text(encoding="utf-8").splitlines()
    environment = lines[lines.index("FROM ${BASE} AS environment") : lines.index("FROM ${BASE} AS code")]
    copied = [line for line in environment if line.startswith("COPY")]
    assert copied == ["COPY requirements.lock docker/trim-environment.sh /build/"]
    copies = [line for line in lines if line.startswith("COPY --from")]
    assert copies[-1].startswith("COPY --from=code")
