"""Memory over the cycles of a training, measured in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from reefline.settings import TrainerSettings
from tests.factories_training import write_labels, write_records
from tests.training_process import start_training

pytestmark = pytest.mark.slow
CYCLES = 12
# The first ones fill caches and allocators.
WARM_CYCLES = 2
MAX_GROWTH = 0.05
SETTINGS = TrainerSettings(
    model="ssd_mobilenet_v2_tiny",
    input_size=96,
    batch_size=4,
    num_steps=20 * CYCLES,
    steps_per_eval=20,
    learning_rate=0.001,
    warmup_steps=1,
    augmentations=(),
)


def test_memory_does_not_grow_from_cycle_to_cycle(tmp_path: Path) -> None:
    write_records(tmp_path / "data" / "Split-train" / "data_tfrecord-00000-of-00001.gz", 32)
    write_records(tmp_path / "data" / "Split-eval" / "data_tfrecord-00000-of-00001.gz", 16, first=50)
    write_labels(tmp_path / "data" / "label_map.pbtxt")
    resident = []
    with start_training(tmp_path / "run", tmp_path / "data", SETTINGS) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "mAP_50" in line:
                pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
                resident.append(pages)
        process.communicate()
    assert len(resident) == CYCLES
    grown = max(resident[WARM_CYCLES:]) / resident[WARM_CYCLES - 1] - 1
    assert grown <= MAX_GROWTH, f"{grown:.1%} after cycle {WARM_CYCLES}: {resident} pages"
