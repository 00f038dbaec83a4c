from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import quick
from tests.process_state import REPO_DIR, ProcessState


def _block_ctrl_c(_folder: Path) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


@pytest.mark.parametrize(
    ("change", "found"),
    [
        pytest.param(lambda _: sys.path.remove(REPO_DIR), "sys.path lacks", id="sys-path-lacks"),
        pytest.param(lambda folder: sys.path.insert(0, str(folder)), "sys.path has", id="sys-path-has"),
        pytest.param(os.chdir, "working directory: ", id="working-directory"),
        pytest.param(lambda _: os.environ.update(REEFLINE_LEFT="1"), "variable REEFLINE_LEFT: None -> '1'", id="set"),
        pytest.param(lambda _: os.environ.pop("PATH"), "environment variable PATH: ", id="unset"),
        pytest.param(lambda _: os.umask(0o077), "umask: ", id="umask"),
        pytest.param(lambda _: signal.signal(signal.SIGTERM, print), "handler of SIGTERM: ", id="sigterm"),
        pytest.param(_block_ctrl_c, "blocked signals: [] -> [2]", id="blocked-ctrl-c"),
    ],
)
def test_a_change_is_found_and_undone(change: Callable[[Path], object], found: str, tmp_path: Path) -> None:
    before = ProcessState.read()
    while sys.path.count(REPO_DIR) > 1:
        sys.path.remove(REPO_DIR)
    try:
        change(tmp_path)
        (line,) = before.find_changes()
    finally:
        before.restore()
    assert found in line
    assert before.find_changes() == []


def test_what_libraries_add_to_the_search_path_stays() -> None:
    before, vendored = ProcessState.read(), str(Path(sys.prefix) / "vendored")
    sys.path.append(vendored)
    try:
        assert before.find_changes() == []
        before.restore()
        assert vendored in sys.path
    finally:
        sys.path.remove(vendored)


def test_all_that_the_quick_tests_leave_out_exists() -> None:
    for name in quick.LEFT_OUT:
        file, _, test = name.partition("::")
        path = quick.TESTS_DIR / file
        assert path.exists(), name
        assert not test or f"def {test}(" in path.read_text(encoding="utf-8"), name
