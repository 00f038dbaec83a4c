from __future__ import annotations

import signal

from reefline.curation.parallel import map_in_processes


def _is_ctrl_c_blocked(number: int) -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_ctrl_c_reaches_no_worker_while_it_starts() -> None:
    assert set(map_in_processes(_is_ctrl_c_blocked, range(40), workers=2)) == {True}
    assert not _is_ctrl_c_blocked(0)
