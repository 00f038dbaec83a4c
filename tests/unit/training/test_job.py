from __future__ import annotations

import json
from pathlib import Path

from reefline.training.job import TrainingJob
from tests.factories_training import make_tiny_settings


def test_a_job_is_read_back_with_its_settings_nested(tmp_path: Path) -> None:
    job = TrainingJob(make_tiny_settings(seed=7), "/runs/3/best/ckpt-10", tmp_path / "cache")
    job.write(tmp_path / "job.json")
    assert TrainingJob.read(tmp_path / "job.json") == job
    assert json.loads((tmp_path / "job.json").read_text())["settings"]["seed"] == 7
