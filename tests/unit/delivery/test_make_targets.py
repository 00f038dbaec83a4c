"""The Makefile's targets that run in the image, with an engine that only records what it is called with."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[3]
DIGEST = "registry.example/reefline@sha256:4f0c"


def run_make(folder: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Return what make did, and each call of the engine."""
    engine, calls = folder / "engine", folder / "calls"
    engine.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n', encoding="utf-8")
    engine.chmod(0o755)
    ended = subprocess.run(
        ["make", "--silent", f"ENGINE={engine}", *arguments], cwd=REPO, capture_output=True, text=True
    )
    return ended, calls.read_text(encoding="utf-8").splitlines() if calls.exists() else []


def test_a_package_is_compiled_and_linted_in_the_image(tmp_path: Path) -> None:
    ended, calls = run_make(tmp_path, "package", f"DIGEST={DIGEST}", "DATA=s3://b/data", "SERVING=s3://b/serving")
    assert ended.returncode == 0, ended.stderr
    compiled, linted = calls
    assert compiled.endswith(
        f"{DIGEST} kubeflow_runner.py compile --config configs/default.yaml --image {DIGEST} --data s3://b/data "
        "--serving s3://b/serving --output /work/pipeline.yaml"
    )
    assert linted.endswith(f"{DIGEST} kubeflow_runner.py lint /work/pipeline.yaml")


def test_a_config_outside_of_the_image_is_mounted(tmp_path: Path) -> None:
    _, calls = run_make(tmp_path, "package", f"DIGEST={DIGEST}", "CONFIG=my.yaml", "SERVING=s3://b/serving")
    assert f"--volume {REPO}:/work" in calls[0]
    assert "--config /work/my.yaml" in calls[0]


def test_a_package_is_submitted_from_the_image(tmp_path: Path) -> None:
    options = ("HOST=http://kfp", "EXPERIMENT=nightly", "SUBMIT_OPTIONS=--wait", "SUBMIT_ENV=--env AWS_ENDPOINT_URL")
    ended, calls = run_make(tmp_path, "submit", f"DIGEST={DIGEST}", *options)
    assert ended.returncode == 0, ended.stderr
    (submitted,) = calls
    assert "--env AWS_ENDPOINT_URL" in submitted
    assert submitted.endswith("submit /work/pipeline.yaml --host http://kfp --experiment nightly --wait")


@pytest.mark.parametrize("target", ["package", "submit"])
def test_a_missing_digest_is_named(tmp_path: Path, target: str) -> None:
    ended, calls = run_make(tmp_path, target)
    assert ended.returncode == 2
    assert "DIGEST" in ended.stderr
    assert calls == []
