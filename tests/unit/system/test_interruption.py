from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from reefline.system.interruption import Interruption


@pytest.fixture(params=[pytest.param(signal.SIGINT, id="ctrl-c"), pytest.param(signal.SIGTERM, id="sigterm")])
def number(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """A signal that already has a handler."""

    def handle(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(request.param, handle)
    yield request.param
    signal.signal(request.param, before)


def test_the_first_signal_waits_until_work_is_saved(number: signal.Signals) -> None:
    safe = False
    with pytest.raises(KeyboardInterrupt), Interruption() as interruption:
        assert not interruption.requested
        signal.raise_signal(number)
        assert interruption.requested
        safe = True
    assert safe


def test_a_second_signal_does_not_wait(number: signal.Signals) -> None:
    late = False
    with pytest.raises(KeyboardInterrupt), Interruption():
        signal.raise_signal(number)
        signal.raise_signal(number)
        late = True
    assert not late


def test_the_previous_handler_is_restored(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Interruption():
        assert signal.getsignal(number) != before
    assert signal.getsignal(number) == before


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            signal.raise_signal(signal.SIGINT)
            assert not interruption.requested
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_error_is_not_hidden_by_a_signal(number: signal.Signals) -> None:
    with pytest.raises(ValueError, match="broken"), Interruption():
        signal.raise_signal(number)
        raise ValueError("broken")


def test_another_thread_works_without_handlers() -> None:
    seen: list[bool] = []

    def work() -> None:
        with Interruption() as interruption:
            seen.append(interruption.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
