"""reefline/recommendation/memory.py: what a remembered recommendation depends on."""

from __future__ import annotations

from pathlib import Path

import pytest

from reefline.recommendation import memory
from reefline.recommendation.memory import locate_recommendation
from reefline.system.files import hash_file
from tests.factories import make_data_set


@pytest.mark.parametrize(
    "source",
    ["recommendation/schedule.py", "recommendation/verify.py", "verification/verify.py", "verification/shrinking.py"],
)
def test_changed_rules_recommend_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    data, hash_memory = make_data_set(tmp_path / "pets"), tmp_path / "hashes.db"

    def hash_changed(path: Path) -> str:
        return "changed" if path.as_posix().endswith(f"reefline/{source}") else hash_file(path)

    before = locate_recommendation(tmp_path, data, None, (), hash_memory)
    assert locate_recommendation(tmp_path, data, None, (), hash_memory) == before
    monkeypatch.setattr(memory, "hash_file", hash_changed)
    assert locate_recommendation(tmp_path, data, None, (), hash_memory) != before
