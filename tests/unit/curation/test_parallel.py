from __future__ import annotations

import signal
from functools import partial

from reefline.curation.parallel import map_in_processes

# Of the standard library, because a worker does not always find the modules of the tests.
_blocked_signals = partial(signal.pthread_sigmask, signal.SIG_BLOCK)


def test_ctrl_c_reaches_no_worker_while_it_starts() -> None:
    blocked: list[set[int]] = list(map_in_processes(_blocked_signals, [()] * 40, workers=2))
    assert all(signal.SIGINT in signals for signals in blocked)
    assert len(blocked) == 40
    assert signal.SIGINT not in _blocked_signals(())
