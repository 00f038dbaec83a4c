"""Ingestion on this machine: in this process, and in further ones where there is more than one worker."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import TYPE_CHECKING

from reefline.data.tasks import ResultT, Task
from reefline.errors import DataError
from reefline.system.cores import count_cores
from reefline.system.memory import read_available_bytes

if TYPE_CHECKING:
    from typing_extensions import Self

# More would mostly wait for the part that one process does (benchmarks/README.md), and each needs memory.
_MOST_DEFAULT_WORKERS = 8
# With a large image in memory, about what a worker needs.
_BYTES_PER_WORKER = 500_000_000
_ALLOCATIONS_PER_COLLECTION = 100_000


def choose_workers(setting: int | None) -> int:
    """Return the number of processes for the setting `data.workers`; by default (None) what cores and memory allow."""
    if setting is not None:
        return setting
    available = read_available_bytes()
    fitting = _MOST_DEFAULT_WORKERS if available is None else available // _BYTES_PER_WORKER
    return max(1, min(count_cores(), _MOST_DEFAULT_WORKERS, fitting))


class LocalEngine:
    """Runs tasks in this process and in `workers` - 1 fresh ones; use it as a context manager, which ends them."""

    def __init__(self, workers: int) -> None:
        """Prepare the processes: each starts with the first task for it."""
        self._pool = start_workers(workers - 1) if workers > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def run(self, tasks: Sequence[Task[ResultT]], meanwhile: Callable[[], None] | None = None) -> Iterator[ResultT]:
        """See Engine.

        Raises:
            DataError: a process was killed or could not start.
        """
        if self._pool is None or len(tasks) == 1:
            if meanwhile is not None:
                meanwhile()
            yield from (task.run() for task in tasks)
            return
        with _explain_killed_process():
            with start_without_ctrl_c():
                pending = [self._pool.submit(_run, task) for task in tasks]
            # Those that no process has started, last first, are done here.
            own: dict[Future[ResultT], ResultT] = {}
            for task, future in zip(reversed(tasks), reversed(pending), strict=True):
                if future.cancel():
                    own[future] = task.run()
            # The others still have a few tasks each, which only they can do.
            if meanwhile is not None:
                meanwhile()
            pending.reverse()
            while pending:
                future = pending.pop()
                yield own.pop(future) if future in own else future.result()


def start_workers(count: int) -> ProcessPoolExecutor:
    """Return a pool of fresh processes, which end when this one does, even when it is killed.

    Forked processes would inherit TensorFlow's locks without the threads that hold them.
    """
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, mp_context=context, initializer=_start_worker)


@contextlib.contextmanager
def start_without_ctrl_c() -> Iterator[None]:
    """Keep Ctrl-C from the processes that start meanwhile, for good; this process sees it afterwards.

    One that Ctrl-C kills while it starts breaks the pool, whose thread then fails on the calls that were cancelled.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _explain_killed_process() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise DataError(
            "a worker process was killed (out of memory?) or could not start; set data.workers to 1, or see run.log"
        ) from error


def _run(task: Task[ResultT]) -> ResultT:
    return task.run()


def _start_worker() -> None:
    # Ctrl-C reaches every process of the terminal, but only the parent ends the run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS_PER_COLLECTION)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        # An exception would end this thread only; the main one would wait for its queue forever.
        signal.raise_signal(signal.SIGKILL)
