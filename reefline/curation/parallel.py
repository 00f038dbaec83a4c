"""A function called on many items by several processes, with the results in the order of the items."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import TypeVar

from reefline.data.local_engine import start_workers
from reefline.errors import DataError

Item = TypeVar("Item")
Result = TypeVar("Result")
# Small enough that Ctrl-C is answered at once, large enough that passing items to processes costs little.
_CHUNK_ITEMS = 16


def map_in_processes(function: Callable[[Item], Result], items: Sequence[Item], *, workers: int) -> Iterator[Result]:
    """Yield `function(item)` of each item, in their order; `workers` 1 calls it in this process.

    Function, items and results must be picklable. An exception of the function ends the work.

    Raises:
        DataError: a process was killed.
    """
    if workers == 1 or len(items) <= _CHUNK_ITEMS:
        yield from map(function, items)
        return
    chunks = [items[start : start + _CHUNK_ITEMS] for start in range(0, len(items), _CHUNK_ITEMS)]
    with start_workers(min(workers, len(chunks))) as pool:
        try:
            with _workers_without_ctrl_c():
                chunk_results = pool.map(partial(_call, function), chunks)
            for results in chunk_results:
                yield from results
        except BrokenProcessPool as error:
            raise DataError("a worker process was killed, probably for lack of memory: pass --workers 1") from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextlib.contextmanager
def _workers_without_ctrl_c() -> Iterator[None]:
    """Let the processes that start meanwhile never see Ctrl-C; this process sees it afterwards.

    One that Ctrl-C kills while it starts breaks the pool, whose thread then fails on the calls that were cancelled.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _call(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    return [function(item) for item in items]
