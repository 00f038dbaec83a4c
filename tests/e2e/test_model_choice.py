"""Models that cannot run on the Edge TPU, through the real command: refused before any data is looked at."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.factories_runs import run_pipeline

pytestmark = pytest.mark.e2e


def test_efficientdet_is_refused_before_any_data_is_read(tmp_path: Path) -> None:
    run = run_pipeline(
        tmp_path / "ws", "--data", tmp_path / "no such folder", settings={"trainer.model": "efficientdet_d0"}
    )
    assert run.exit_code == 2
    (error,) = [line for line in run.lines if line.startswith("error: ")]
    assert re.search(r"efficientdet_d0 does not map to the Edge TPU \(.*nearest.*ssd_mobilenet_v2_fpnlite_320", error)
    assert "or set 'edgetpu: never'" in error
    assert run.summary["verdict"] == "FAILED"
    assert run.summary["failure"]["component"] == "config"
    assert not (run.workspace / "artifacts").exists()
    assert not (run.workspace / "metadata.db").exists()


def test_efficientdet_is_let_through_without_the_edge_tpu(tmp_path: Path) -> None:
    """It is the data that stops this run."""
    rules = {"gate.max_quantization_drop": None, "gate.min_edgetpu_ops": None}
    settings = {"trainer.model": "efficientdet_d0", "edgetpu": "never", **rules}
    run = run_pipeline(tmp_path / "ws", "--data", tmp_path / "no such folder", settings=settings)
    assert run.exit_code == 2
    assert run.summary["failure"]["component"] == "data"
