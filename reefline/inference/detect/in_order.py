"""Several interpreters at a time, with results in the order of what goes in."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from reefline.inference.detect.runtime import LoadedModel

Item = TypeVar("Item")
Result = TypeVar("Result")
# Items that are prepared or finished ahead, for each model: enough that no model waits for a slow neighbour.
_AHEAD = 2


def run_in_order(
    models: Sequence[LoadedModel], work: Callable[[LoadedModel, Item], Result], items: Iterable[Item]
) -> Iterator[Result]:
    """Yield `work(model, item)` for each item in order; each model works on one item at a time, in its own thread.

    Items are read a few ahead of the results. An error of `work` is raised at its item's turn, one of `items` after
    the results of all items before it.
    """
    if len(models) == 1:
        yield from (work(models[0], item) for item in items)
        return
    free: queue.SimpleQueue[LoadedModel] = queue.SimpleQueue()
    for model in models:
        free.put(model)

    def run(item: Item) -> Result:
        model = free.get()
        try:
            return work(model, item)
        finally:
            free.put(model)

    pending: deque[Future[Result]] = deque()
    failure: Exception | None = None
    iterator = iter(items)
    with ThreadPoolExecutor(len(models)) as pool:
        while failure is None:
            try:
                pending.append(pool.submit(run, next(iterator)))
            except StopIteration:
                break
            except Exception as error:  # after the results of all items before
                failure = error
            if len(pending) >= _AHEAD * len(models):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    if failure is not None:
        raise failure
