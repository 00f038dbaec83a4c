"""Ingestion on this machine: in this process, and in further ones where `data.workers` is above 1."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING

from reefline.data.tasks import ResultT, Task

if TYPE_CHECKING:
    from typing_extensions import Self


class LocalEngine:
    """Runs tasks in this process and in `workers` - 1 fresh ones; use it as a context manager, which ends them."""

    def __init__(self, workers: int) -> None:
        """Start the processes; they are ready in half a second."""
        self._pool = start_workers(workers - 1) if workers > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def run(self, tasks: Sequence[Task[ResultT]]) -> Iterator[ResultT]:
        """See Engine."""
        if self._pool is None:
            yield from (task.run() for task in tasks)
            return
        pending = [self._pool.submit(_run, task) for task in tasks]
        # Those that no process has started, last first, are done here.
        own: dict[Future[ResultT], ResultT] = {}
        for task, future in zip(reversed(tasks), reversed(pending), strict=True):
            if future.cancel():
                own[future] = task.run()
        for future in pending:
            yield own.pop(future) if future in own else future.result()


def start_workers(count: int) -> ProcessPoolExecutor:
    """Return a pool of fresh processes, which end when this one does, even when it is killed.

    Forked processes would inherit TensorFlow's locks without the threads that hold them.
    """
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, mp_context=context, initializer=_start_worker)


def _run(task: Task[ResultT]) -> ResultT:
    return task.run()


def _start_worker() -> None:
    # Ctrl-C reaches every process of the terminal, but only the parent ends the run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        # An exception would end this thread only; the main one would wait for its queue forever.
        signal.raise_signal(signal.SIGKILL)
