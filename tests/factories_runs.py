"""Runs of the whole pipeline in this process: starting TFX once costs more than most of them."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import local_runner
from tests.factories_summary import find_schema_errors

# Few steps of a tiny model: what is asserted is the path, not the quality.
QUICK = {
    "demo.images": 40,
    "trainer.num_steps": 6,
    "trainer.steps_per_eval": 3,
    "trainer.batch_size": 4,
    "trainer.warmup_steps": 2,
    "exporter.calibration_images": 4,
    "gate.min_map": 0.0,
    "gate.max_quantization_drop": 1.0,
    "gate.max_regression": 1.0,
}


@dataclass(frozen=True)
class PipelineRun:
    """What one run left: exit code, what it printed, its summary, its page and its workspace."""

    exit_code: int
    out: str
    summary: dict[str, Any]
    workspace: Path
    page: str

    @property
    def lines(self) -> list[str]:
        """What was printed, line by line."""
        return self.out.splitlines()

    def components(self, state: str) -> list[str]:
        """Return the components that the terminal said were `state`, in order."""
        return [line.partition(":")[0] for line in self.lines if line.partition(": ")[2].startswith(state)]


def list_options(settings: Mapping[str, Any]) -> list[str]:
    """Return the settings as --set options."""
    return [part for name, value in settings.items() for part in ("--set", f"{name}={json.dumps(value)}")]


def run_pipeline(workspace: Path, *arguments: str | Path, settings: Mapping[str, Any] = QUICK) -> PipelineRun:
    """Run local_runner.py in this process; `settings` become --set options."""
    options = list_options(settings)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exit_code = local_runner.main([*map(str, arguments), "--workspace", str(workspace), *options])
    report = workspace / "reports" / "latest"
    summary = json.loads((report / "summary.json").read_text(encoding="utf-8"))
    assert find_schema_errors(summary) == []
    return PipelineRun(
        exit_code, out.getvalue(), summary, workspace, (report / "index.html").read_text(encoding="utf-8")
    )
