"""One server for all tests of this folder that fork their containers from it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kubeflow.emulation.backend import REPO_DIR
from tests.kubeflow.emulation.forked import ForkedProcesses


@pytest.fixture(scope="session")
def forked() -> Iterator[ForkedProcesses]:
    with ForkedProcesses(REPO_DIR) as processes:
        yield processes
