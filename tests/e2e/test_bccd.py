"""Blood cells, the real data set, with few steps: what ingestion finds there is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.factories_runs import QUICK, run_pipeline

REPO_DIR = Path(__file__).resolve().parents[2]
BCCD = REPO_DIR / ".." / "shared" / "data" / "bccd"

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        not BCCD.is_dir(), reason="the bccd data set is not beside the repository (../shared/data/bccd)"
    ),
]


def test_bccd_from_images_to_a_bundle(tmp_path: Path) -> None:
    settings = {name: value for name, value in QUICK.items() if name != "demo.images"}
    settings |= {"gate.min_map_50": 0.0, "trainer.input_size": 192}
    run = run_pipeline(tmp_path / "ws", "--config", REPO_DIR / "configs/bccd.yaml", "--data", BCCD, settings=settings)
    assert run.exit_code == 0, run.out
    data = run.summary["data"]
    assert {name: split["images"] for name, split in data["splits"].items()} == {"train": 205, "eval": 87, "test": 72}
    dropped = [f for f in data["findings"] if f["action"] in ("dropped_box", "dropped_image")]
    assert [(f["rule"], f["action"]) for f in dropped] == [("box_degenerate", "dropped_box")] * 2
    assert len([f for f in data["findings"] if f["rule"] == "near_duplicate_across_splits"]) == 1
    assert data["anomalies"] == []
    assert (run.workspace / "serving" / "bccd" / "1" / "labels.txt").read_text().split() == ["Platelets", "RBC", "WBC"]
