"""A function called on many items by several processes, with the results in the order of the items."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import TypeVar

from reefline.data.local_engine import start_without_ctrl_c, start_workers
from reefline.errors import DataError

Item = TypeVar("Item")
Result = TypeVar("Result")
# Small enough that Ctrl-C is answered at once, large enough that passing items to processes costs little.
_CHUNK_ITEMS = 16


def map_in_processes(function: Callable[[Item], Result], items: Sequence[Item], *, workers: int) -> Iterator[Result]:
    """Yield `function(item)` of each item, in their order; `workers` 1 calls it in this process.

    Function, items and results must be picklable. An exception of the function ends the work.

    Raises:
        DataError: a process was killed or could not start.
    """
    if workers == 1 or len(items) <= _CHUNK_ITEMS:
        yield from map(function, items)
        return
    chunks = [items[start : start + _CHUNK_ITEMS] for start in range(0, len(items), _CHUNK_ITEMS)]
    with start_workers(min(workers, len(chunks))) as pool:
        try:
            with start_without_ctrl_c():
                chunk_results = pool.map(partial(_call, function), chunks)
            for results in chunk_results:
                yield from results
        except BrokenProcessPool as error:
            raise DataError(
                "a worker process was killed (out of memory?) or could not start; "
                "pass --workers 1, or read the errors above"
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _call(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    return [function(item) for item in items]
