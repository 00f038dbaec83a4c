"""The wheel, installed with its base dependencies into a clean environment of another Python, as on a device."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reefline.inference.detector import TfliteDetector
from tests.factories_compiler import COMPILED_FILE, SUCCESS_LOG, make_compiler
from tests.factories_detect import push_small_bundle
from tests.factories_tflite import OpSpec, TensorSpec, write_model

REPO_DIR = Path(__file__).resolve().parents[2]
# Debian's own python3 first.
PYTHONS = ("/usr/bin/python3", "python3.13", "python3.12", "python3.11")
# Newer than the pipeline's, with what makes environments.
SUITS = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
MAX_INSTALLED_BYTES = 120 * 2**20
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
# Part of every environment, whatever is installed.
NOT_OURS = ("pip-", "setuptools-")


def find_other_python() -> str | None:
    for name in PYTHONS:
        path = shutil.which(name)
        if path and subprocess.run([path, "-c", SUITS], capture_output=True, check=False).returncode == 0:
            return path
    return None


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the tracked files: a build writes next to its sources."""
    sources = tmp_path_factory.mktemp("sources")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPO_DIR, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if not name.startswith(("tests/", "docs/", "benchmarks/")) and (REPO_DIR / name).is_file():
            (sources / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPO_DIR / name, sources / name)
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-c", BUILD, out], cwd=sources, capture_output=True, check=True)
    [built] = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an environment with the wheel, its base dependencies and nothing else."""
    python = find_other_python()
    if python is None:
        pytest.skip("no other Python 3.11 or newer with venv; install one (Debian: apt-get install python3-venv)")
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([python, "-m", "venv", folder], capture_output=True, check=True)
    pip = [folder / "bin" / "python", "-m", "pip", "--quiet", "--retries", "1"]
    if subprocess.run([*pip, "download", "--no-deps", "typing-extensions"], cwd=folder, check=False).returncode != 0:
        pytest.skip("no package index can be reached")
    subprocess.run([*pip, "install", "--no-compile", wheel], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return push_small_bundle(tmp_path_factory.mktemp("pushed"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.tflite"
    return write_model(path, [TensorSpec("a"), TensorSpec("b")], [OpSpec("RELU", ("a",), ("b",))], ["a"], ["b"])


def run(environment: Path, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `reefline` as a shell on the device would, in a folder without sources."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV"))}
    command = [environment / "bin" / "reefline", *arguments]
    return subprocess.run(command, cwd=environment, env={**kept, **variables}, capture_output=True, text=True)


def test_the_wheel_holds_every_data_file(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    folders = ("reefline", "pipeline", "components", "configs")
    listed = subprocess.run(["git", "ls-files", *folders], cwd=REPO_DIR, capture_output=True, text=True, check=True)
    assert not set(listed.stdout.splitlines()) - packed
    assert {"local_runner.py", "kubeflow_runner.py"} <= packed


def test_the_installation_is_small(environment: Path) -> None:
    [packages] = environment.glob("lib/python*/site-packages")
    records = [path for path in packages.glob("*.dist-info/RECORD") if not path.parent.name.startswith(NOT_OURS)]
    names = {row[0] for record in records for row in csv.reader(record.read_text(encoding="utf-8").splitlines())}
    files = [packages / name for name in names if not name.endswith(".pyc")]
    assert sum(file.stat().st_size for file in files if file.is_file()) <= MAX_INSTALLED_BYTES


def test_help_works(environment: Path) -> None:
    done = run(environment, "--help")
    assert done.returncode == 0, done.stderr
    assert "verify-bundle" in done.stdout


def test_detect_works(environment: Path, bundle: Path, tmp_path: Path) -> None:
    Image.fromarray(np.full((16, 32, 3), 200, np.uint8)).save(tmp_path / "grey.png")
    out = tmp_path / "out"
    done = run(environment, "detect", "--bundle", bundle, tmp_path / "grey.png", "--out", out, "--min-score", "0")
    assert done.returncode == 0, done.stderr
    [image] = json.loads((out / "detections.json").read_text())["images"]
    with Image.open(tmp_path / "grey.png") as opened:
        expected = TfliteDetector(bundle / "model_int8.tflite").detect(np.asarray(opened))
    # The device's runtime and numpy are other versions than those of the pipeline.
    assert [one["box_xyxy_px"] for one in image["detections"]] == expected.boxes_xyxy_px.tolist()
    assert [one["score"] for one in image["detections"]] == pytest.approx(expected.scores, abs=1e-4)


def test_verify_bundle_works(environment: Path, bundle: Path) -> None:
    done = run(environment, "verify-bundle", bundle)
    assert (done.returncode, done.stderr) == (0, "")
    assert "intact" in done.stdout


def test_rollback_works(environment: Path, tmp_path: Path) -> None:
    serving = push_small_bundle(tmp_path).parents[1]
    done = run(environment, "rollback", "--serving", serving, "--to", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Version 1 of ")


def test_analyze_works(environment: Path, model: Path) -> None:
    done = run(environment, "analyze", model)
    assert done.returncode == 0, done.stderr
    assert "1 of 1 ops run on the Edge TPU" in done.stdout


def test_parse_log_works(environment: Path, tmp_path: Path) -> None:
    (tmp_path / "model.log").write_text(SUCCESS_LOG)
    done = run(environment, "parse-log", tmp_path / "model.log")
    assert done.returncode == 0, done.stderr
    assert "on the Edge TPU: 3" in done.stdout


def test_compile_works(environment: Path, model: Path, tmp_path: Path) -> None:
    make_compiler(tmp_path / "bin", SUCCESS_LOG, output=COMPILED_FILE)
    done = run(environment, "compile", model, "--out", tmp_path / "out", PATH=str(tmp_path / "bin"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "model_edgetpu.tflite").read_bytes() == COMPILED_FILE


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(
            ["recommend"], "`reefline recommend` needs the pipeline: pip install 'reefline[pipeline]'", id="pipeline"
        ),
        pytest.param(
            ["verify-bundle", "BUNDLE", "--public-key", "key.pem"],
            "checking a signature with key.pem needs the extra `signing`: pip install 'reefline[signing]'",
            id="signing",
        ),
        pytest.param(
            ["detect", "--bundle", "s3://bucket/1", "image.jpg"],
            "s3://bucket/1 needs the extra `storage`: pip install 'reefline[storage]'",
            id="storage",
        ),
    ],
)
def test_what_needs_an_extra_says_so(arguments: list[str], said: str, environment: Path, bundle: Path) -> None:
    done = run(environment, *(str(bundle) if argument == "BUNDLE" else argument for argument in arguments))
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith(f"error: {said}")
