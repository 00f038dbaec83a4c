"""`reefline autolabel` with the real COCO model, on a real photograph."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from reefline.evaluation.matching import compute_ious
from reefline.formats.voc import parse_voc_annotation

REPO_DIR = Path(__file__).resolve().parents[2]
COCO_DETECTOR = REPO_DIR / ".." / "shared" / "models" / "coco_ssd_mobilenet_v1_1.0_quant.tflite"
# Drawn by hand around Grace Hopper, in matplotlib's sample of 512 x 600 px.
PERSON = (10, 24, 512, 600)
# Python imports a module of this name by itself when it starts.
FORBIDDING_MODULE = """
import importlib.machinery
import sys

class Forbidding:
    def find_spec(self, name, path=None, target=None):
        if name in ("tensorflow", "object_detection", "tfx"):
            return importlib.machinery.ModuleSpec(name, self)

    def create_module(self, spec):
        raise ImportError(f"{spec.name} is not needed")

    def exec_module(self, module):
        pass

sys.meta_path.insert(0, Forbidding())
"""


@pytest.mark.skipif(not COCO_DETECTOR.is_file(), reason="../shared/models is missing")
@pytest.mark.parametrize(
    ("folder", "options", "label"),
    [
        pytest.param("", ["--detector-classes", "person", "--boxes", "best"], "person", id="the model's class"),
        pytest.param("admiral/", ["--detector-classes", "person"], "admiral", id="the folder's class"),
        pytest.param("person/", ["--tiles", "320"], "person", id="tiles"),
    ],
)
def test_the_default_model_finds_a_person_without_tensorflow(
    tmp_path: Path, folder: str, options: list[str], label: str
) -> None:
    import matplotlib

    (tmp_path / "in" / folder).mkdir(parents=True)
    photo = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    shutil.copyfile(photo, tmp_path / "in" / f"{folder}hopper.jpg")
    (tmp_path / "sitecustomize.py").write_text(FORBIDDING_MODULE)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{REPO_DIR}"}
    command = [sys.executable, "-m", "reefline", "autolabel", tmp_path / "in", "--out", tmp_path / "out", *options]

    done = subprocess.run(command, env=environment, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "images labelled: 1" in done.stdout
    assert done.stderr == ""
    (xml,) = (tmp_path / "out" / "Annotations").iterdir()
    (item,) = parse_voc_annotation(xml.read_bytes()).objects
    assert item.label == label and item.score is not None and item.score > 0.6
    ious = compute_ious(np.array([item.box_xyxy_px]), np.array([PERSON], dtype=float))
    assert ious[0, 0] > 0.85
