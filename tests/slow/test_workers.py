"""A training of two real processes on the loopback: they share a folder, and leave one result."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from reefline.od_api import compat
from reefline.settings import DistributionStrategy
from reefline.structures.artifacts import ModelRunFolder
from reefline.training.job import TrainingJob
from reefline.training.report import TrainingReport
from tests.factories_training import make_tiny_settings, write_labels, write_records

pytestmark = pytest.mark.slow
REPO_DIR = Path(__file__).resolve().parents[2]
SETTINGS = make_tiny_settings(num_steps=4, steps_per_eval=2, strategy=DistributionStrategy.MULTI_WORKER)


def _prepare_job(folder: Path) -> None:
    compat.apply()
    from reefline.od_api import model_config

    for part in range(2):
        write_records(folder / "data" / "train" / f"{part}.gz", 8, first=8 * part)
    write_records(folder / "data" / "eval" / "0.gz", 2, first=50)
    files = model_config.TrainingFiles(
        train_records=(str(folder / "data" / "train" / "*"),),
        eval_records=(str(folder / "data" / "eval" / "*"),),
        label_map=write_labels(folder / "data" / "label_map.pbtxt"),
    )
    config = model_config.build_pipeline_config(model_config.load_template(SETTINGS.model), SETTINGS, files)
    model_config.write_pipeline_config(config, ModelRunFolder(folder).pipeline_config)
    TrainingJob(SETTINGS, "", folder / "cache").write(ModelRunFolder(folder).job)


def _start_worker(folder: Path, addresses: list[str], index: int) -> subprocess.Popen[str]:
    cluster = json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})
    return subprocess.Popen(
        [sys.executable, "-m", "reefline", "train-worker", str(folder)],
        cwd=REPO_DIR,
        env={**os.environ, "TF_CONFIG": cluster},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_workers_leave_one_result(tmp_path: Path) -> None:
    _prepare_job(tmp_path)
    addresses = []
    for _ in range(2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            addresses.append(f"127.0.0.1:{probe.getsockname()[1]}")
    workers = [_start_worker(tmp_path, addresses, index) for index in range(2)]
    results = [worker.communicate(timeout=400) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], results[0][1][-2000:] + results[1][1][-2000:]
    report = TrainingReport.read(tmp_path / "training.json")
    assert [point.step for point in report.evaluations] == [2, 4]
    assert (tmp_path / "best" / f"ckpt-{report.best_step}.index").is_file()
    assert "All 4 steps done." in results[0][0]
    assert results[1][0] == ""
