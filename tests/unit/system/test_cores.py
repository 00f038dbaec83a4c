"""Cores as the system and a container's limits leave them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reefline.system import cores


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({}, 64, id="no-container"),
        pytest.param({"cpu.max": "max 100000\n"}, 64, id="v2-unlimited"),
        pytest.param({"cpu.max": "100000 100000\n"}, 1, id="v2-one"),
        pytest.param({"cpu.max": "250000 100000\n"}, 3, id="v2-rounded-up"),
        pytest.param({"cpu.max": "9000000 100000\n"}, 64, id="v2-more-than-the-machine"),
        pytest.param({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 64, id="v1-unlimited"),
        pytest.param({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1, id="v1-half"),
    ],
)
def test_a_containers_limit_counts(
    files: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(cores, "_CGROUPS", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    assert cores.count_cores() == expected
