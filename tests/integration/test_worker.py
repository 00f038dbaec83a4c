"""A real training process that finds a problem, and what its parent raises."""

from __future__ import annotations

from pathlib import Path

import pytest

from reefline.errors import UserError
from reefline.structures.artifacts import ModelRunFolder
from reefline.training.worker import train_in_child


def test_a_problem_crosses_the_process_boundary(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no training found \(no job\.json\)") as caught:
        train_in_child(ModelRunFolder(tmp_path))
    assert len(caught.value.problems) == 1
