from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

from reefline.report.environment import Environment, read_environment


def test_what_a_run_runs_on_is_kept(tmp_path: Path) -> None:
    environment = read_environment()
    assert environment.python == platform.python_version()
    assert environment.cores >= 1 and environment.system
    assert environment.packages["tensorflow"] == metadata.version("tensorflow")
    environment.write(tmp_path / "environment.json")
    assert Environment.read(tmp_path / "environment.json") == environment
