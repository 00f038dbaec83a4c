"""`reefline coco-results` through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reefline.cli import app
from tests.factories_evaluation import make_scored_image, make_split_detections


@pytest.fixture
def detections(tmp_path) -> Path:
    image = make_scored_image([(0, 0, 9, 9, 1)], [(0, 0, 9, 9, 0, 0.5)])
    path = tmp_path / "detections.npz"
    make_split_detections([image], models=("float", "shipped")).write(path)
    return path


def run(*arguments: object):
    return CliRunner().invoke(app, ["coco-results", *map(str, arguments)])


def test_one_file_for_the_truth_and_one_per_model(detections, tmp_path):
    out = tmp_path / "made" / "here"
    result = run(detections, "--out", out)

    assert result.exit_code == 0, result.output
    assert result.stdout == f"ground_truth.json, float.json, shipped.json are in {out}\n"
    records = {path.name: json.loads(path.read_text()) for path in out.iterdir()}
    assert set(records) == {"ground_truth.json", "float.json", "shipped.json"}
    assert [each["category_id"] for each in records["ground_truth.json"]["annotations"]] == [2]
    assert [each["category_id"] for each in records["shipped.json"]] == [1]


def test_no_detections(tmp_path):
    result = run(tmp_path / "detections.npz", "--out", tmp_path / "out")

    assert result.exit_code == 2
    assert "detections.npz: cannot read it (No such file or directory)" in result.stderr


def test_out_is_a_file(detections, tmp_path):
    (tmp_path / "out").touch()
    result = run(detections, "--out", tmp_path / "out")

    assert result.exit_code == 2
    assert "out: cannot write to it (File exists); name another folder" in result.stderr
