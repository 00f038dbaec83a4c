"""The short part of the harness: some rounds of each kind of fault, on runs that end before training."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.faults.attempt import REPO_DIR
from tests.faults.outcome import FaultCounts
from tests.faults.run import SCENARIOS


def test_no_fault_loses_or_tears_anything(tmp_path: Path) -> None:
    # In its own process, which is without threads and can be forked.
    command = [sys.executable, "-m", "tests.faults.run", "--short", "--processes", "1"]
    command += ["--json", str(tmp_path / "counts.json")]
    # Measuring the coverage of runs that are killed takes time and leaves no data.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    run = subprocess.run(command, cwd=REPO_DIR, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr[-2000:]
    counts = FaultCounts.read(tmp_path / "counts.json")
    assert counts.failed == 0
    played = {one.scenario: one.rounds for one in counts.scenarios if not one.skipped}
    expected = {one.name: one.short for one in SCENARIOS if one.short}
    skipped = {one.scenario for one in counts.scenarios if one.skipped}
    assert played == {name: rounds for name, rounds in expected.items() if name not in skipped}
