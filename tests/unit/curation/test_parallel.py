from __future__ import annotations

import signal
import sys
from functools import partial
from pathlib import Path

import pytest

from reefline.curation.parallel import map_in_processes

_blocked_signals = partial(signal.pthread_sigmask, signal.SIG_BLOCK)


def _name_module(_number: int) -> str:
    return __name__


def test_ctrl_c_reaches_no_worker_while_it_starts() -> None:
    blocked: list[set[int]] = list(map_in_processes(_blocked_signals, [()] * 40, workers=2))
    assert all(signal.SIGINT in signals for signals in blocked)
    assert len(blocked) == 40
    assert signal.SIGINT not in _blocked_signals(())


def test_a_worker_finds_these_tests_next_to_another_package_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    assert set(map_in_processes(_name_module, range(40), workers=2)) == {__name__}
