"""Memory over the cycles of a training, measured in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.factories_training import make_tiny_settings, write_splits
from tests.training_process import start_training

pytestmark = pytest.mark.slow
CYCLES = 12
# The first ones fill caches and allocators.
WARM_CYCLES = 2
MAX_GROWTH = 0.05
SETTINGS = make_tiny_settings(num_steps=20 * CYCLES, steps_per_eval=20, learning_rate=0.001, sample_images=4)


def test_memory_does_not_grow_from_cycle_to_cycle(tmp_path: Path) -> None:
    write_splits(tmp_path / "data", train=32, evaluation=16)
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
